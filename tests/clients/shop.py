"""A small shop: the schema, the rows and the answers that every client must come to.

Each client tells the story in its own idiom and gives back one value a step, in JSON's types; what the values
must be stands here once.
"""

from dataclasses import dataclass
from typing import Any

SCHEMA = """
CREATE TABLE customers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL UNIQUE,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE TABLE products (
    sku text PRIMARY KEY,
    title text NOT NULL,
    price numeric(10,2) NOT NULL CONSTRAINT products_price_positive CHECK (price > 0),
    stock integer NOT NULL DEFAULT 0
);
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id uuid NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    sku text NOT NULL REFERENCES products (sku),
    quantity integer NOT NULL CHECK (quantity > 0),
    placed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_of_customer ON orders (customer_id, placed_at DESC);
CREATE INDEX customers_active ON customers (email) WHERE deleted_at IS NULL;
"""

ADA = ("ada@example.com", "Ada")
GRACE = ("grace@example.com", "Grace")

# sku, title, price, stock: of product 7, P-007, "Product 7", 7.50 and 7.
PRODUCTS = [(f"P-{n:03}", f"Product {n}", f"{n}.50", n) for n in range(1, 201)]
# email of the customer, sku, quantity
ORDERS = [(ADA[0], "P-010", 2), (GRACE[0], "P-003", 1), (GRACE[0], "P-001", 3)]
# One that is there, one that is new: stock is added, the price replaced.
UPSERT = [("P-001", "Product 1", "1.75", 5), ("P-999", "Novelty", "9.99", 7)]

# What a strict schema refuses: name -> (statement, SQLSTATE, constraint)
VIOLATIONS: dict[str, tuple[str, str, str | None]] = {
    "not null": ("INSERT INTO customers (email) VALUES ('nameless@example.com')", "23502", None),
    "unique": ("INSERT INTO customers (email, name) VALUES ('ada@example.com', 'x')", "23505", "customers_email_key"),
    "foreign key": (
        "INSERT INTO orders (customer_id, sku, quantity) VALUES (gen_random_uuid(), 'P-001', 1)",
        "23503",
        "orders_customer_id_fkey",
    ),
    "foreign key, the other way": ("DELETE FROM products WHERE sku = 'P-010'", "23503", "orders_sku_fkey"),
    "check": (
        "INSERT INTO products (sku, title, price) VALUES ('P-000', 'x', -1)",
        "23514",
        "products_price_positive",
    ),
    "too large for numeric(10,2)": (
        "INSERT INTO products (sku, title, price) VALUES ('P-000', 'x', 123456789)",
        "22003",
        None,
    ),
    "not a uuid": ("SELECT FROM customers WHERE id = 'ada'", "22P02", None),
}

STORY: dict[str, Any] = {
    "insert": {"name": "Ada", "uuid_version": 4, "made_just_now": True, "not_deleted": True},
    "bulk": 200,
    "page": ["P-198", "P-197", "P-196"],
    "join": [["Ada", "P-010", "21.00"], ["Grace", "P-001", "4.50"], ["Grace", "P-003", "3.50"]],
    "count": 200,
    "update": {"changed": 1, "price": "11.55"},
    "upsert": [["P-001", 6, "1.75", False], ["P-999", 7, "9.99", True]],
    "soft_delete": {"active": ["ada@example.com"], "all": 2},
    "delete": {"gone": 1, "left": 2},
    # How many customers a second connection sees: before the commit, after it, after a rollback.
    "commit": [2, 3],
    "rollback": 3,
    "errors": {name: [state, constraint] for name, (_, state, constraint) in VIOLATIONS.items()},
    "indexes": [
        "customers_active",
        "customers_email_key",
        "customers_pkey",
        "orders_of_customer",
        "orders_pkey",
        "products_pkey",
    ],
}

INDEXES = "SELECT indexname::text FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"

# What a script of another language needs to tell the story.
INPUT: dict[str, Any] = {
    "schema": SCHEMA,
    "ada": ADA,
    "grace": GRACE,
    "products": PRODUCTS,
    "orders": ORDERS,
    "upsert": UPSERT,
    "violations": {name: statement for name, (statement, _, _) in VIOLATIONS.items()},
    "indexes": INDEXES,
}


@dataclass(frozen=True)
class Use:
    """How to use an extension, and the answer, as text."""

    query: str
    answer: str


EXTENSIONS = {
    "citext": Use("SELECT ('ADA'::citext = 'ada')::text", "true"),
    "hstore": Use("SELECT 'a=>1, b=>2'::hstore -> 'b'", "2"),
    "pg_trgm": Use("SELECT (similarity('howdah', 'howdahs') > 0.5)::text", "true"),
    "vector": Use("SELECT ('[1,2,3]'::vector <-> '[1,2,5]'::vector)::text", "2"),
}

# No row: not there. Trusted: an owner may create it.
IS_TRUSTED = """
SELECT v.trusted
FROM pg_available_extensions AS e
JOIN pg_available_extension_versions AS v ON v.name = e.name AND v.version = e.default_version
WHERE e.name = '{name}'
"""


def extension_outcome(trusted: bool | None, name: str) -> list[str]:
    """What CREATE EXTENSION and then a use must come to, from the server's word on trust (None: not there)."""
    if trusted is None:
        return ["refused", "0A000", f'extension "{name}" is not available']
    if not trusted:
        return ["refused", "42501", f'permission denied to create extension "{name}"']
    return ["used", EXTENSIONS[name].answer]


def told(outcome: list[str], name: str) -> list[str]:
    """The outcome in the words of 15 and newer: before, a missing extension was a file that couldn't be opened."""
    return extension_outcome(None, name) if outcome[:2] == ["refused", "58P01"] else outcome
