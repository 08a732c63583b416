from django.db import migrations, models


class Migration(migrations.Migration):
    # By itself: the one before holds a lock on the messages until it is done, and this one reads all clients.

    dependencies = [
        ('django_chatapi', '0004_agents'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='client',
            index=models.Index(fields=['channel', 'client_id'], name='chatapi_client_search', opclasses=['int8_ops', 'varchar_pattern_ops']),
        ),
    ]
