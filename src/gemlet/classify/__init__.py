"""Texts with labels, or labels alone → the labels of other texts.   (texts, labels → Classifier → labels)

classifier.py   Classifier: fit, predict, save, load
labels.py       labels → classes and targets
heads.py        vectors and targets → one linear head, and what it says of rows it did not see
logistic.py     logistic regression, by L-BFGS
calibration.py  scores → probabilities that hold, and thresholds
zeroshot.py     names of labels → a head
report.py       figures of each class, confusion
picture.py      the confusion matrix as PNG or SVG
safefile.py     one file without code; settings.py checks what it says
"""

from gemlet.classify.classifier import Classifier
from gemlet.classify.heads import Method
from gemlet.classify.picture import check_picture, draw
from gemlet.classify.report import ClassFigures, Report, report_of

__all__ = ["ClassFigures", "Classifier", "Method", "Report", "check_picture", "draw", "report_of"]
