-- Subscriptions by what their payment provider calls them.
CREATE INDEX subscription_of_provider ON subscription (tenant_id, provider, provider_subscription)
  WHERE provider_subscription IS NOT NULL;
