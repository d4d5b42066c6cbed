"""A local BigQuery: its REST API over DuckDB, the statements translated by sqlglot.

Verified by it: requests and answers of the client library, parameters, types, paging, row errors, jobs and their ids,
partition filters. Not: costs (bytes are estimated), quotas, BigQuery's own functions that DuckDB lacks, IAM.
"""
