"""Tables of subscriptions."""

from tallystick.migrations.statements import execute

revision = "0011_subscriptions"
down_revision = "0010_invoicing"

UP = """
CREATE TABLE subscriptions (
    id uuid NOT NULL,
    account_no bigint NOT NULL,
    entity_id integer NOT NULL,
    plan_version_id bigint NOT NULL,
    quantity numeric NOT NULL DEFAULT 1,
    currency text NOT NULL,
    started_at timestamptz NOT NULL,
    trial_end timestamptz,
    anchor timestamptz NOT NULL,
    timezone text NOT NULL,
    zone_changes_seen integer NOT NULL,
    ended_at timestamptz,
    canceled_at timestamptz,
    billed_to timestamptz NOT NULL,
    usage_billed_to timestamptz NOT NULL,
    next_billing_at timestamptz,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_subscriptions PRIMARY KEY (id),
    CONSTRAINT fk_subscriptions_account_no FOREIGN KEY (account_no) REFERENCES accounts (no),
    CONSTRAINT fk_subscriptions_entity_id FOREIGN KEY (entity_id) REFERENCES entities (id),
    CONSTRAINT fk_subscriptions_plan_version_id FOREIGN KEY (plan_version_id) REFERENCES plan_versions (id),
    CONSTRAINT ck_subscriptions_quantity CHECK (quantity > 0 AND quantity < 1e15),
    CONSTRAINT ck_subscriptions_canceled CHECK ((ended_at IS NULL) = (canceled_at IS NULL)),
    CONSTRAINT ck_subscriptions_end CHECK (ended_at >= started_at),
    CONSTRAINT ck_subscriptions_anchor CHECK (anchor >= started_at AND billed_to >= anchor AND usage_billed_to >= anchor)
);
CREATE INDEX ix_subscriptions_account_no ON subscriptions (account_no);
CREATE INDEX ix_subscriptions_next_billing_at ON subscriptions (next_billing_at, id) WHERE next_billing_at IS NOT NULL;
CREATE INDEX ix_subscriptions_plan_version_id ON subscriptions (plan_version_id);
CREATE TRIGGER subscriptions_updated_at BEFORE UPDATE ON subscriptions
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TABLE subscription_events (
    id bigint GENERATED ALWAYS AS IDENTITY,
    subscription_id uuid NOT NULL,
    event text NOT NULL,
    occurred_at timestamptz NOT NULL,
    principal text NOT NULL,
    details jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_subscription_events PRIMARY KEY (id),
    CONSTRAINT fk_subscription_events_subscription_id FOREIGN KEY (subscription_id) REFERENCES subscriptions (id),
    CONSTRAINT ck_subscription_events_event CHECK (event IN ('started', 'end_scheduled', 'ended'))
);
CREATE INDEX ix_subscription_events_subscription_id ON subscription_events (subscription_id, id);
CREATE TRIGGER subscription_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON subscription_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""
DOWN = """
DROP TABLE subscription_events;
DROP TABLE subscriptions;
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
