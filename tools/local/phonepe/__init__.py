"""PhonePe's stand-in: as much of the v2 API as RaptorFlow calls, checking what it is sent, and webhooks like PhonePe's.

    POST /v1/oauth/token                              a token for client credentials
    POST /checkout/v2/pay                             a new order
    GET  /checkout/v2/order/{merchantOrderId}/status  what became of it
    POST /payments/v2/refund                          money back, all or in part
    GET  /payments/v2/refund/{merchantRefundId}/status  what became of that

    POST  /_local/orders                 an order in any state
    GET   /_local/orders/{id}            all that is known of it
    PATCH /_local/orders/{id}            pay it, let it fail, change it, break the answers about it
    POST  /_local/orders/{id}/webhook    post the signed webhook to a URL
    POST  /_local/orders/{id}/refunds    a refund, as from PhonePe's dashboard
    GET   /_local/refunds/{id}           all that is known of it
    PATCH /_local/refunds/{id}           complete it, let it fail, change it, break the answers about it
    POST  /_local/refunds/{id}/webhook   post the signed webhook to a URL
    GET   /_local/requests               what the API was asked, and what it answered
    DELETE /_local/tokens                every token expires now

Orders and refunds live in memory. Shapes follow PhonePe's Standard Checkout reference (developer.phonepe.com:
authorization, create payment, order status, refund, refund status, webhook), read in November 2026.
"""
