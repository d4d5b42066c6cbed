"""PhonePe's stand-in: as much of the v2 API as RaptorFlow calls, checking what it is sent, and webhooks like PhonePe's.

    POST /v1/oauth/token                              a token for client credentials
    POST /checkout/v2/pay                             a new order
    GET  /checkout/v2/order/{merchantOrderId}/status  what became of it

    POST  /_local/orders                 an order in any state
    GET   /_local/orders/{id}            all that is known of it
    PATCH /_local/orders/{id}            pay it, let it fail, change it, break the answers about it
    POST  /_local/orders/{id}/webhook    post the signed webhook to a URL
    GET   /_local/requests               what the API was asked, and what it answered
    DELETE /_local/tokens                every token expires now

Orders live in memory. Shapes follow PhonePe's Standard Checkout reference (developer.phonepe.com: authorization, create
payment, order status, webhook), read in November 2026.
"""
