"""Cloud Storage's JSON API, and its XML API for signed URLs, as far as the official client uses them.

What it answers is what Google documents: preconditions, checksums, retention and V4 signatures are really checked.
Not here: object versions, holds, access control lists, customers' keys, batches, notifications. A request for one of
them is refused with 501 instead of being half done.

    errors          what is refused, and how each API says so
    names           buckets' and objects' names, preconditions
    content, store  buckets and objects on disk
    resources       what callers may write into a bucket or an object, and what they read
    buckets, objects, listing, uploads, resumable, downloads    the JSON API
    account, signing, xml                            signed URLs
    app             the application
"""
