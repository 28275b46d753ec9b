"""What one part tells another: integration events, versioned. Webhook payloads derive from them."""
