"""The contract of Cloud Storage, through Google's own client library, and plain requests for what that never sends.

Google's own test bench is not a package that could be installed beside us: what is expected here is what Google
documents, the page named at each rule. The one that others made, gcp-storage-emulator 2026.7, agrees on uploads,
ranges and copies, and is no yardstick for the rest: it takes a create-only upload twice, answers expired, changed and
unsigned URLs with 200, and ignores a bucket's location.
"""
