"""Django's ORM at work: rows, a join, an upsert, a transaction that fails, an error, a user of its own."""

from decimal import Decimal

import django
from given import answer

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.db import IntegrityError, connection, transaction  # noqa: E402
from django.db.models import Count, F, Sum  # noqa: E402
from library.models import Author, Book  # noqa: E402

seen = {}
ada = Author.objects.create(email="ada@example.com")
Book.objects.bulk_create(
    Book(title=f"Volume {n}", price=Decimal("1.50"), author=ada, facts={"n": n}) for n in (1, 2, 3)
)
book = Book.objects.select_related("author").filter(facts__n=1).get()
seen["first"] = [book.title, str(book.price), book.author.email, book.facts["n"]]
Book.objects.filter(pk=book.pk).update(price=F("price") + 2)
seen["deleted"] = Book.objects.filter(title="Volume 3").delete()[0]
Author.objects.update_or_create(email="ada@example.com", defaults={"email": "ada@example.org"})
try:
    with transaction.atomic():
        Book.objects.all().delete()
        raise KeyError
except KeyError:
    total = Book.objects.aggregate(n=Count("pk"), sum=Sum("price"))
    seen["sum"] = [total["n"], str(total["sum"])]
try:
    Author.objects.create(email="ada@example.org")
except IntegrityError as error:
    cause = error.__cause__
    seen["error"] = [cause.sqlstate, cause.diag.constraint_name]
user = User.objects.create_user("grace", password="of no worth")
seen["user"] = User.objects.get(username="grace").check_password("of no worth")
with connection.cursor() as cursor:
    cursor.execute("SELECT current_user::text")
    seen["role"] = cursor.fetchone()[0]
connection.close()
answer(seen)
