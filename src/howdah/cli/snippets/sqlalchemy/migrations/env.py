# migrations/env.py: for Alembic, after `alembic init migrations`; it takes the place of the one made there
from alembic import context

import models  # your tables
from db import engine

with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=models.Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
