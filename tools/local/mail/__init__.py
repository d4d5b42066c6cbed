"""The mail provider's stand-in: ``POST /emails`` as Resend answers it, and the mails on a page.

    POST /emails                 takes a mail: bearer key, fields, attachments and Idempotency-Key are checked
    GET  /                       the mails, newest first
    GET  /mails/{id}             one of them, as it would be read
    GET  /mails/{id}/{number}    an attachment
    GET  /api/mails?to=          the mails as JSON
    POST /_local/faults          the next answers, {"answers": [429, 500, "hang", "lost"]}: "lost" takes the mail first

Mails are kept in memory. Shapes follow resend.com/docs (send email, errors, idempotency keys), read in November 2026.
"""
