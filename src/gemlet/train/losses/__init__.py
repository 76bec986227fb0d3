"""What training makes small: EmbeddingGemma's objective (arXiv 2509.20354, section 2.2).   (vectors → losses)

settings.py     the choices, without torch
matryoshka.py   a vector → its first numbers, at unit length again
contrastive.py  L_C: a query's positive against everything else, equation 2
spread.py       L_S: texts of one column apart from one another, equation 4
matching.py     L_D: near to a teacher's vectors, equation 5
sameness.py     token ids → which texts are the same: no text is its own negative, equation 3
batch.py        what is known of a batch before the model sees it: who is no negative of whom, a teacher's vectors
gather.py       a rank's rows → the rows of all ranks, gradients included
recipe.py       all of it as one loss with sentence-transformers' protocol; gradients cached where memory is small

Each of the three losses is a function from vectors to one number for each row; the recipe takes the mean over rows.
Everything but `LossSettings` needs torch and is imported from its own file.
"""

from gemlet.train.losses.settings import LossSettings

__all__ = ["LossSettings"]
