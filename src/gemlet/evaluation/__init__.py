"""How good the vectors are at what they are for.   (vectors, what is known of their texts → figures)

metrics.py   what was found, what is right → figures: those of trec_eval, SciPy and scikit-learn
"""
