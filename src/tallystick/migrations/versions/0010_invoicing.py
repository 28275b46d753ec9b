"""Tables of invoicing."""

from tallystick.migrations.statements import execute

revision = "0010_invoicing"
down_revision = "0009_metering"

UP = """
CREATE TABLE number_series (
    entity_id integer NOT NULL,
    series text NOT NULL,
    year smallint NOT NULL,
    last_no bigint NOT NULL,
    last_issue_date date NOT NULL,
    CONSTRAINT pk_number_series PRIMARY KEY (entity_id, series, year),
    CONSTRAINT ck_number_series_last_no CHECK (last_no > 0)
);
CREATE TABLE invoices (
    id uuid NOT NULL,
    account_no bigint NOT NULL,
    entity_id integer NOT NULL,
    status text NOT NULL,
    number text COLLATE "C",
    series text,
    series_year smallint,
    series_no bigint,
    currency text NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    issue_date date,
    due_date date,
    subtotal numeric NOT NULL,
    tax numeric NOT NULL,
    total numeric NOT NULL,
    amount_paid numeric NOT NULL DEFAULT 0,
    taxes jsonb NOT NULL,
    bill_to jsonb,
    notes jsonb NOT NULL,
    run_id uuid,
    finalized_at timestamptz,
    paid_at timestamptz,
    voided_at timestamptz,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_invoices PRIMARY KEY (id),
    CONSTRAINT uq_invoices_number UNIQUE (number),
    CONSTRAINT fk_invoices_account_no FOREIGN KEY (account_no) REFERENCES accounts (no),
    CONSTRAINT ck_invoices_status CHECK (status IN ('draft', 'finalized', 'paid', 'void')),
    CONSTRAINT ck_invoices_number CHECK ((finalized_at IS NULL) = (number IS NULL)),
    CONSTRAINT ck_invoices_series CHECK (num_nulls(number, series, series_year, series_no, issue_date) IN (0, 5)),
    CONSTRAINT ck_invoices_draft CHECK ((status = 'draft') <= (finalized_at IS NULL)),
    CONSTRAINT ck_invoices_finalized CHECK ((status IN ('finalized', 'paid')) <= (finalized_at IS NOT NULL)),
    CONSTRAINT ck_invoices_paid CHECK ((status = 'paid') = (paid_at IS NOT NULL)),
    CONSTRAINT ck_invoices_void CHECK ((status = 'void') = (voided_at IS NOT NULL)),
    CONSTRAINT ck_invoices_paid_in_full CHECK ((status = 'paid') <= (amount_paid = total)),
    CONSTRAINT ck_invoices_subtotal CHECK (subtotal > -1e15 AND subtotal < 1e15),
    CONSTRAINT ck_invoices_tax CHECK (tax > -1e15 AND tax < 1e15),
    CONSTRAINT ck_invoices_total CHECK (total >= 0 AND total < 1e15 AND total = subtotal + tax),
    CONSTRAINT ck_invoices_amount_paid CHECK (amount_paid >= 0 AND amount_paid <= total),
    CONSTRAINT ck_invoices_period CHECK (period_start <= period_end),
    CONSTRAINT ck_invoices_currency CHECK (length(currency) = 3)
);
CREATE INDEX ix_invoices_account_no ON invoices (account_no, id);
CREATE INDEX ix_invoices_open ON invoices (account_no) WHERE status = 'finalized';
CREATE INDEX ix_invoices_run_id ON invoices (run_id) WHERE run_id IS NOT NULL;
CREATE TABLE invoice_lines (
    invoice_id uuid NOT NULL,
    position integer NOT NULL,
    account_no bigint NOT NULL,
    kind text NOT NULL,
    description text NOT NULL,
    quantity numeric NOT NULL,
    unit text NOT NULL,
    amount numeric NOT NULL,
    exact numeric(38, 18) NOT NULL,
    exact_cut boolean NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    slice_start timestamptz NOT NULL,
    price_key text COLLATE "C" NOT NULL,
    rule text NOT NULL,
    gl_code text NOT NULL,
    timing text NOT NULL,
    inputs jsonb NOT NULL,
    subscription_id uuid,
    plan_version_id bigint,
    charge_id bigint,
    meter_id bigint,
    from_batch bigint,
    to_batch bigint,
    event_count bigint,
    checksum bytea,
    taxes jsonb NOT NULL,
    revision smallint NOT NULL DEFAULT 0,
    voided boolean NOT NULL DEFAULT false,
    CONSTRAINT pk_invoice_lines PRIMARY KEY (invoice_id, position),
    CONSTRAINT ck_invoice_lines_kind CHECK (kind IN ('fee', 'usage', 'recorded', 'minimum', 'manual')),
    CONSTRAINT ck_invoice_lines_timing CHECK (timing IN ('advance', 'arrears', 'immediate')),
    CONSTRAINT ck_invoice_lines_quantity CHECK (quantity > -1e24 AND quantity < 1e24),
    CONSTRAINT ck_invoice_lines_amount CHECK (amount > -1e15 AND amount < 1e15),
    CONSTRAINT ck_invoice_lines_exact CHECK (exact > -1e15 AND exact < 1e15),
    CONSTRAINT ck_invoice_lines_period CHECK (period_start <= period_end),
    CONSTRAINT ck_invoice_lines_evidence CHECK (num_nulls(meter_id, from_batch, to_batch, event_count, checksum) IN (0, 5))
);
CREATE UNIQUE INDEX uq_invoice_lines_slice ON invoice_lines (account_no, slice_start, price_key, subscription_id, revision)
    NULLS NOT DISTINCT WHERE NOT voided;
CREATE TABLE billing_records (
    invoice_id uuid NOT NULL,
    billing_date date NOT NULL,
    shown_as text NOT NULL,
    CONSTRAINT pk_billing_records PRIMARY KEY (invoice_id),
    CONSTRAINT fk_billing_records_invoice_id FOREIGN KEY (invoice_id) REFERENCES invoices (id),
    CONSTRAINT ck_billing_records_shown_as CHECK (shown_as IN ('pending', 'draft'))
);
CREATE FUNCTION invoices_keep_issued() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moving text[] := ARRAY['status', 'amount_paid', 'paid_at', 'voided_at', 'revision', 'updated_at'];
BEGIN
    IF OLD.status <> NEW.status AND (OLD.status, NEW.status) NOT IN
       (('draft', 'finalized'), ('draft', 'paid'), ('draft', 'void'), ('finalized', 'paid'), ('finalized', 'void')) THEN
        RAISE EXCEPTION 'an invoice that is % cannot become %', OLD.status, NEW.status USING ERRCODE = '23001';
    END IF;
    IF OLD.finalized_at IS NOT NULL AND to_jsonb(OLD) - moving <> to_jsonb(NEW) - moving THEN
        RAISE EXCEPTION 'a finalized invoice does not change' USING ERRCODE = '23001';
    END IF;
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER invoices_keep_issued BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION invoices_keep_issued();
CREATE TRIGGER invoices_kept BEFORE DELETE OR TRUNCATE ON invoices FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE FUNCTION invoice_lines_keep_issued() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM invoices WHERE id = OLD.invoice_id AND status = 'draft')
       AND (TG_OP = 'DELETE' OR NEW.invoice_id = OLD.invoice_id) THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.voided AND to_jsonb(OLD) - 'voided' = to_jsonb(NEW) - 'voided' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a line of a finalized invoice does not change' USING ERRCODE = '23001';
END $$;
CREATE TRIGGER invoice_lines_keep_issued BEFORE UPDATE OR DELETE ON invoice_lines
    FOR EACH ROW EXECUTE FUNCTION invoice_lines_keep_issued();
CREATE TRIGGER invoice_lines_kept BEFORE TRUNCATE ON invoice_lines FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE FUNCTION invoice_lines_join_no_issued() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT DISTINCT invoice_id FROM written) w JOIN invoices i ON i.id = w.invoice_id
               WHERE i.status <> 'draft') THEN
        RAISE EXCEPTION 'a finalized invoice takes no further line' USING ERRCODE = '23001';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER invoice_lines_join_no_issued AFTER INSERT ON invoice_lines
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION invoice_lines_join_no_issued();
"""
DOWN = """
DROP TABLE billing_records;
DROP TABLE invoice_lines;
DROP TABLE invoices;
DROP TABLE number_series;
DROP FUNCTION invoices_keep_issued();
DROP FUNCTION invoice_lines_keep_issued();
DROP FUNCTION invoice_lines_join_no_issued();
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
