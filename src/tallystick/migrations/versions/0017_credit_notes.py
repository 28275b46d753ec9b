"""Credit notes and their lines; customer credit that cannot be spent twice."""

from tallystick.migrations.statements import execute

revision = "0017_credit_notes"
down_revision = "0016_documents"

UP = """
CREATE TABLE credit_notes (
    id uuid NOT NULL,
    number text COLLATE "C" NOT NULL,
    series text NOT NULL,
    series_year smallint NOT NULL,
    series_no bigint NOT NULL,
    account_no bigint NOT NULL,
    entity_id integer NOT NULL,
    invoice_id uuid NOT NULL,
    invoice_number text NOT NULL,
    currency text NOT NULL,
    issue_date date NOT NULL,
    reason text NOT NULL,
    subtotal numeric NOT NULL,
    included_tax numeric NOT NULL,
    tax numeric NOT NULL,
    total numeric NOT NULL,
    amount_offset numeric NOT NULL,
    amount_credited numeric NOT NULL,
    taxes jsonb NOT NULL,
    bill_to jsonb NOT NULL,
    inputs jsonb NOT NULL,
    issued_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_credit_notes PRIMARY KEY (id),
    CONSTRAINT uq_credit_notes_number UNIQUE (number),
    CONSTRAINT fk_credit_notes_invoice_id FOREIGN KEY (invoice_id) REFERENCES invoices (id),
    CONSTRAINT ck_credit_notes_total CHECK (total > 0 AND total < 1e15 AND total = subtotal - included_tax + tax),
    CONSTRAINT ck_credit_notes_parts CHECK (subtotal > -1e15 AND subtotal < 1e15 AND included_tax > -1e15 AND included_tax < 1e15
        AND tax > -1e15 AND tax < 1e15),
    CONSTRAINT ck_credit_notes_use CHECK (amount_offset >= 0 AND amount_offset < 1e15 AND amount_credited >= 0
        AND amount_credited < 1e15 AND amount_offset + amount_credited = total),
    CONSTRAINT ck_credit_notes_currency CHECK (length(currency) = 3)
);
CREATE INDEX ix_credit_notes_invoice_id ON credit_notes (invoice_id, id);
CREATE INDEX ix_credit_notes_account_no ON credit_notes (account_no, id);
CREATE TABLE credit_note_lines (
    note_id uuid NOT NULL,
    position integer NOT NULL,
    invoice_id uuid NOT NULL,
    invoice_position integer NOT NULL,
    description text NOT NULL,
    amount numeric NOT NULL,
    taxes jsonb NOT NULL,
    gl_code text NOT NULL,
    timing text NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    CONSTRAINT pk_credit_note_lines PRIMARY KEY (note_id, position),
    CONSTRAINT uq_credit_note_lines_note_id_invoice_position UNIQUE (note_id, invoice_position),
    CONSTRAINT fk_credit_note_lines_note_id FOREIGN KEY (note_id) REFERENCES credit_notes (id),
    CONSTRAINT ck_credit_note_lines_amount CHECK (amount > -1e15 AND amount < 1e15),
    CONSTRAINT ck_credit_note_lines_timing CHECK (timing IN ('advance', 'arrears', 'immediate'))
);
CREATE INDEX ix_credit_note_lines_invoice ON credit_note_lines (invoice_id, invoice_position);
CREATE TRIGGER credit_notes_issued BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_notes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER credit_note_lines_issued BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_note_lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE FUNCTION credit_note_lines_make_the_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM credit_notes n JOIN credit_note_lines l ON l.note_id = n.id
               WHERE n.id IN (SELECT note_id FROM written) GROUP BY n.id, n.subtotal HAVING sum(l.amount) <> n.subtotal) THEN
        RAISE EXCEPTION 'the lines of a credit note must add up to it' USING ERRCODE = '23001';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER credit_note_lines_make_the_note AFTER INSERT ON credit_note_lines
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION credit_note_lines_make_the_note();
ALTER TABLE ledger_accounts ADD CONSTRAINT ck_ledger_accounts_credit_spent CHECK (code <> 'customer_credit' OR balance <= 0);
"""
DOWN = """
ALTER TABLE ledger_accounts DROP CONSTRAINT ck_ledger_accounts_credit_spent;
DROP TABLE credit_note_lines;
DROP TABLE credit_notes;
DROP FUNCTION credit_note_lines_make_the_note();
DELETE FROM number_series WHERE series = 'CN';
"""


def upgrade() -> None:
    execute(UP)


def downgrade() -> None:
    execute(DOWN)
