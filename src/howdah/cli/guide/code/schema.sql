-- schema.sql: two tables to start from
CREATE TABLE accounts (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  email text NOT NULL UNIQUE,
  name text NOT NULL,
  balance numeric(12, 2) NOT NULL DEFAULT 0 CHECK (balance >= 0),
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE transfers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  sender uuid NOT NULL REFERENCES accounts (id),
  receiver uuid NOT NULL REFERENCES accounts (id),
  amount numeric(12, 2) NOT NULL CHECK (amount > 0),
  made_at timestamptz NOT NULL DEFAULT now()
);

-- A foreign key brings no index on its own side.
CREATE INDEX transfers_by_sender ON transfers (sender, made_at);
CREATE INDEX transfers_by_receiver ON transfers (receiver, made_at);
