"""Documents: discounts, granted credits and included tax on lines; credit and wallets that settle an invoice; corrections."""

from tallystick.migrations.statements import execute

revision = "0016_documents"
down_revision = "0015_catalog_files"

UP = """
ALTER TABLE invoices
    ADD COLUMN discount numeric NOT NULL DEFAULT 0,
    ADD COLUMN granted numeric NOT NULL DEFAULT 0,
    ADD COLUMN included_tax numeric NOT NULL DEFAULT 0,
    ADD COLUMN credit_applied numeric NOT NULL DEFAULT 0,
    ADD COLUMN wallet_applied numeric NOT NULL DEFAULT 0,
    ADD COLUMN amount_noted numeric NOT NULL DEFAULT 0,
    ADD COLUMN amount_offset numeric NOT NULL DEFAULT 0,
    ADD COLUMN amount_due numeric GENERATED ALWAYS AS
        (total - credit_applied - wallet_applied - amount_offset - amount_paid) STORED NOT NULL;
ALTER TABLE invoices
    DROP CONSTRAINT ck_invoices_paid_in_full,
    DROP CONSTRAINT ck_invoices_total,
    DROP CONSTRAINT ck_invoices_amount_paid,
    ADD CONSTRAINT ck_invoices_paid_in_full CHECK ((status = 'paid') <= (amount_due = 0)),
    ADD CONSTRAINT ck_invoices_total
        CHECK (total >= 0 AND total < 1e15 AND total = subtotal - discount - granted - included_tax + tax),
    ADD CONSTRAINT ck_invoices_reductions CHECK (discount >= 0 AND discount < 1e15 AND granted >= 0 AND granted < 1e15
        AND included_tax > -1e15 AND included_tax < 1e15),
    ADD CONSTRAINT ck_invoices_amount_paid CHECK (amount_paid >= 0 AND amount_paid < 1e15 AND credit_applied >= 0
        AND credit_applied < 1e15 AND wallet_applied >= 0 AND wallet_applied < 1e15 AND amount_due >= 0 AND amount_due < 1e15),
    ADD CONSTRAINT ck_invoices_amount_noted CHECK (amount_offset >= 0 AND amount_offset <= amount_noted AND amount_noted <= total);
ALTER TABLE invoice_lines
    ADD COLUMN discount numeric NOT NULL DEFAULT 0,
    ADD COLUMN granted numeric NOT NULL DEFAULT 0,
    ADD COLUMN reductions jsonb,
    ADD COLUMN corrects_invoice_id uuid,
    ADD COLUMN corrects_position integer;
ALTER TABLE invoice_lines
    DROP CONSTRAINT ck_invoice_lines_kind,
    ADD CONSTRAINT ck_invoice_lines_kind CHECK (kind IN ('fee', 'usage', 'recorded', 'minimum', 'manual', 'correction')),
    ADD CONSTRAINT ck_invoice_lines_corrects CHECK (num_nulls(corrects_invoice_id, corrects_position) IN (0, 2)
        AND (kind = 'correction') = (corrects_invoice_id IS NOT NULL)),
    ADD CONSTRAINT ck_invoice_lines_reductions CHECK (abs(discount) < 1e15 AND abs(granted) < 1e15);
CREATE INDEX ix_invoice_lines_corrects ON invoice_lines (corrects_invoice_id, corrects_position)
    WHERE corrects_invoice_id IS NOT NULL;
CREATE OR REPLACE FUNCTION invoices_keep_issued() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moving text[] := ARRAY['status', 'amount_paid', 'credit_applied', 'wallet_applied', 'amount_noted', 'amount_offset', 'amount_due',
                           'paid_at', 'voided_at', 'revision', 'updated_at'];
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
"""
DOWN = """
DROP INDEX ix_invoice_lines_corrects;
ALTER TABLE invoice_lines
    DROP CONSTRAINT ck_invoice_lines_reductions,
    DROP CONSTRAINT ck_invoice_lines_corrects,
    DROP CONSTRAINT ck_invoice_lines_kind,
    ADD CONSTRAINT ck_invoice_lines_kind CHECK (kind IN ('fee', 'usage', 'recorded', 'minimum', 'manual'));
ALTER TABLE invoice_lines
    DROP COLUMN discount, DROP COLUMN granted, DROP COLUMN reductions, DROP COLUMN corrects_invoice_id, DROP COLUMN corrects_position;
ALTER TABLE invoices
    DROP CONSTRAINT ck_invoices_amount_noted,
    DROP CONSTRAINT ck_invoices_amount_paid,
    DROP CONSTRAINT ck_invoices_reductions,
    DROP CONSTRAINT ck_invoices_total,
    DROP CONSTRAINT ck_invoices_paid_in_full;
ALTER TABLE invoices DROP COLUMN amount_due;
ALTER TABLE invoices
    DROP COLUMN discount, DROP COLUMN granted, DROP COLUMN included_tax, DROP COLUMN credit_applied, DROP COLUMN wallet_applied,
    DROP COLUMN amount_noted, DROP COLUMN amount_offset;
ALTER TABLE invoices
    ADD CONSTRAINT ck_invoices_paid_in_full CHECK ((status = 'paid') <= (amount_paid = total)),
    ADD CONSTRAINT ck_invoices_total CHECK (total >= 0 AND total < 1e15 AND total = subtotal + tax),
    ADD CONSTRAINT ck_invoices_amount_paid CHECK (amount_paid >= 0 AND amount_paid <= total);
CREATE OR REPLACE FUNCTION invoices_keep_issued() RETURNS trigger LANGUAGE plpgsql AS $$
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
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
