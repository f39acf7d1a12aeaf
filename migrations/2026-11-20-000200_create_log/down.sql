DROP TABLE changes;
DROP TABLE streams;
