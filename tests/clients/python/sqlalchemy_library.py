"""SQLAlchemy at work: rows, a join, a transaction that fails, an upsert, an error."""

from decimal import Decimal

from db import Session, engine
from given import answer
from models import Author, Book
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

seen = {}
with Session.begin() as session:
    ada = Author(email="ada@example.com")
    ada.books = [Book(title=f"Volume {n}", price=Decimal("1.50")) for n in (1, 2, 3)]
    session.add(ada)
with Session.begin() as session:
    first = session.scalars(select(Book).join(Author).where(Author.email == "ada@example.com").order_by(Book.title))
    book = first.first()
    seen["first"] = [book.title, str(book.price), book.author.email]
    book.price += 2
    session.delete(session.scalars(select(Book).where(Book.title == "Volume 3")).one())
try:
    with Session.begin() as session:
        session.execute(text("DELETE FROM books"))
        raise KeyError
except KeyError:
    with Session() as session:
        seen["sum"] = [str(n) for n in session.execute(select(func.count(), func.sum(Book.price))).one()]
with Session.begin() as session:
    change = insert(Author).values(email="ada@example.com")
    change = change.on_conflict_do_update(index_elements=["email"], set_={"email": "ada@example.org"})
    session.execute(change)
try:
    with Session.begin() as session:
        session.add(Author(email="ada@example.org"))
except IntegrityError as error:
    seen["error"] = [error.orig.sqlstate, error.orig.diag.constraint_name]
with engine.connect() as connection:
    seen["driver"] = connection.dialect.driver
    seen["role"] = connection.scalar(text("SELECT current_user::text"))
engine.dispose()
answer(seen)
