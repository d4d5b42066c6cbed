"""A local Vertex AI: text and embeddings, the same for the same input, and it says that it is local.

Verified by it: requests and answers of the client library, streaming, schemas of JSON answers, token counts' presence.
Not: what a model would say. Embeddings are real vectors of the words and their parts, so similar texts are near.
"""
