"""Parts of compare_estimators.py: the cases, each estimator, the truth, and the table."""
