-- report.sql: what an analyst may ask
SELECT sender.name AS sender, count(*) AS transfers, sum(amount) AS total
FROM transfers
JOIN accounts AS sender ON sender.id = transfers.sender
GROUP BY sender.name
ORDER BY total DESC;
