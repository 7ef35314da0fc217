-- The story of the shop, told with psql: each step that has an answer writes a line of its name, a tab and JSON.
\set ON_ERROR_STOP on
\pset tuples_only on
\pset format unaligned
\pset fieldsep '\t'

INSERT INTO customers (email, name) VALUES (:'ada_email', :'ada_name')
RETURNING id AS ada_id, extract(epoch FROM clock_timestamp() - created_at) AS ada_age, name AS ada_name,
          deleted_at IS NULL AS ada_active \gset
SELECT 'insert', json_build_object(
    'name', :'ada_name', 'uuid_version', substr(:'ada_id', 15, 1)::int,
    'made_just_now', abs(:ada_age) < 60, 'not_deleted', :'ada_active'::bool);

SELECT array_agg(format('P-%s', lpad(n::text, 3, '0')) ORDER BY n) AS skus,
       array_agg('Product ' || n ORDER BY n) AS titles,
       array_agg(n + 0.50 ORDER BY n) AS prices,
       array_agg(n ORDER BY n) AS stocks
FROM generate_series(1, 200) AS n \gset
\pset tuples_only off
\o /dev/null
INSERT INTO products (sku, title, price, stock)
SELECT * FROM unnest(:'skus'::text[], :'titles'::text[], :'prices'::numeric[], :'stocks'::integer[]);
\o
\pset tuples_only on
SELECT 'bulk', :ROW_COUNT;

SELECT 'page', json_agg(sku)
FROM (SELECT sku FROM products WHERE price > 190 ORDER BY price DESC LIMIT 3 OFFSET 2) AS page;

\set QUIET on
INSERT INTO customers (email, name) VALUES (:'grace_email', :'grace_name');
CREATE TEMPORARY TABLE incoming (email text, sku text, quantity integer);
\copy incoming FROM pstdin WITH (FORMAT csv)
INSERT INTO orders (customer_id, sku, quantity)
SELECT id, sku, quantity FROM incoming JOIN customers USING (email);
SELECT 'join', json_agg(json_build_array(name, sku, total::text) ORDER BY name, sku)
FROM (
    SELECT c.name, o.sku, p.price * o.quantity AS total
    FROM orders AS o JOIN customers AS c ON c.id = o.customer_id JOIN products AS p USING (sku)
) AS lines;

SELECT 'count', count(*) FROM products;

WITH changed AS (UPDATE products SET price = price * 1.1 WHERE sku = 'P-010' RETURNING price)
SELECT 'update', json_build_object('changed', count(*), 'price', max(price)::text) FROM changed;

WITH upserted AS (
    INSERT INTO products (sku, title, price, stock)
    VALUES ('P-001', 'Product 1', 1.75, 5), ('P-999', 'Novelty', 9.99, 7)
    ON CONFLICT (sku) DO UPDATE SET price = EXCLUDED.price, stock = products.stock + EXCLUDED.stock
    RETURNING sku, stock, price, xmax = 0 AS new
)
SELECT 'upsert', json_agg(json_build_array(sku, stock, price::text, new) ORDER BY sku) FROM upserted;

UPDATE customers SET deleted_at = now() WHERE email = :'grace_email';
SELECT 'soft_delete', json_build_object(
    'active', json_agg(email) FILTER (WHERE deleted_at IS NULL), 'all', count(*)) FROM customers;

DELETE FROM orders WHERE quantity = 3 RETURNING 1 AS one \gset gone_
SELECT 'delete', json_build_object('gone', :gone_one, 'left', count(*)) FROM orders;

SELECT 'indexes', json_agg(name ORDER BY name) FROM (:indexes) AS found (name);
