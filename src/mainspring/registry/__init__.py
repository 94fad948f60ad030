"""What was fitted, what is live, and how it came about.

Version folders (`versions`), the desired state that gateways follow (`desired`), the history (`history`), and MLflow
(`tracking`). The gateway uses all but the last, which is the only one that imports MLflow.
"""
