"""Looking at a database in a web browser: Datasette on the file, frequent questions, and a curve for each workload.

``site`` and ``pages`` need the extra ``browse``; nothing else imports Datasette.
"""
