"""How good the vectors are at what they are for.   (vectors, what is known of their texts → figures)

metrics.py   what was found, what is right → figures: those of trec_eval, SciPy and scikit-learn

What others published:
tasks/         folders of published data → what to measure
protocols/     what each kind of task asks of vectors, scored as MTEB scores it
kept.py        vectors that are embedded once
running.py     tasks, a model → results
results.py     results as files in MTEB's schema
published.py   the scores that are published for the same tasks
tables.py, pages.py, chart.py   results beside those: a table, as Markdown, HTML, a picture
mteb_model.py, mteb_run.py      gemlet under mteb's own runner
"""
