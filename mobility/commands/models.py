"""What was answered to whom."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

COMMAND_ID = r"^[A-Za-z0-9_-]{1,64}$"


class Command(models.Model):
    """One command of one client and its answer, written in the transaction that did it; never changed.

    `principal` says who (`user.17`; a guest by a digest of the ride id), `digest` what was wanted, so that another
    command under a used id is noticed. Thrown away after `command_keep_days`.
    """

    pk = models.CompositePrimaryKey("principal", "command_id")
    principal = models.CharField(max_length=64)
    command_id = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)
    answer = models.JSONField()
    made_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        db_table = "mobility_command"
        constraints = [models.CheckConstraint(condition=Q(command_id__regex=COMMAND_ID), name="command_id_is_plain")]

    def __str__(self) -> str:
        return f"{self.principal} {self.command_id}"
