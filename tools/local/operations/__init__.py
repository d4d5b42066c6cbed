"""Google's services for operators, on one port: Secret Manager, Monitoring, Logging, Trace, Error Reporting.

Verified by it: that the client libraries' calls are well-formed and within the services' documented limits. What is
written is kept and can be read back. Not: IAM, replication, alerting itself, retention.
"""
