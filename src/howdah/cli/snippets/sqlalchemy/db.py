# db.py: app {{app}}, database {{database}}, as {{login}}
# pip install sqlalchemy "psycopg[binary]"
import os

from sqlalchemy import create_engine, make_url
from sqlalchemy.orm import DeclarativeBase, sessionmaker

# The driver by name: SQLAlchemy 2.0 would take psycopg2 where the URL names none, 2.1 takes psycopg.
url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg")

engine = create_engine(
    url,
    pool_size=5,  # all processes of the app together: at most {{limit}}
    max_overflow=0,
    pool_pre_ping=True,  # a connection that broke while it lay there is replaced
)
Session = sessionmaker(engine)


class Base(DeclarativeBase):
    """What your models inherit from."""
