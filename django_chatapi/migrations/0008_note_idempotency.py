import django_chatapi.models.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('django_chatapi', '0007_webhook_names'),
    ]

    operations = [
        migrations.AddField(
            model_name='dialognote',
            name='idempotency_key',
            field=django_chatapi.models.fields.ExactCharField(editable=False, max_length=255, null=True, verbose_name='idempotency key'),
        ),
        migrations.AddConstraint(
            model_name='dialognote',
            constraint=models.UniqueConstraint(fields=('dialog', 'idempotency_key'), name='chatapi_dialognote_idempotency'),
        ),
    ]
