import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import django_chatapi.models.fields
import django_chatapi.tokens
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('django_chatapi', '0003_deliveries'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AgentPresence',
            fields=[
                ('agent', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='chatapi_presence', serialize=False, to=settings.AUTH_USER_MODEL, verbose_name='agent')),
                ('state', models.CharField(choices=[('online', 'online'), ('away', 'away'), ('offline', 'offline')], default='offline', max_length=7, verbose_name='state')),
                ('changed_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='changed')),
                ('seen_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='last seen')),
            ],
            options={
                'verbose_name': 'presence of an agent',
                'verbose_name_plural': 'presences of agents',
            },
        ),
        migrations.CreateModel(
            name='DialogChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sequence', models.BigIntegerField(verbose_name='sequence number')),
                ('kind', models.CharField(choices=[('agentJoined', 'agent joined'), ('agentLeft', 'agent left'), ('handedOver', 'handed over'), ('transferred', 'transferred'), ('closed', 'closed')], max_length=11, verbose_name='change')),
                ('agent_name', models.CharField(blank=True, default='', max_length=255, verbose_name='agent')),
                ('shown_name', models.CharField(blank=True, default='', max_length=255, verbose_name='name for clients')),
                ('by_name', models.CharField(blank=True, default='', max_length=255, verbose_name='by')),
                ('detail', models.CharField(blank=True, default='', max_length=255, verbose_name='detail')),
                ('created_at', models.DateTimeField(verbose_name='time')),
            ],
            options={
                'verbose_name': 'change of a dialog',
                'verbose_name_plural': 'changes of dialogs',
            },
        ),
        migrations.CreateModel(
            name='DialogNote',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('agent_name', models.CharField(max_length=255, verbose_name='agent')),
                ('text', models.TextField(verbose_name='text')),
                ('created_at', models.DateTimeField(verbose_name='time')),
            ],
            options={
                'verbose_name': 'internal note',
                'verbose_name_plural': 'internal notes',
            },
        ),
        migrations.AlterModelOptions(
            name='client',
            options={'permissions': [('answer_client', 'Can answer clients')], 'verbose_name': 'client', 'verbose_name_plural': 'clients'},
        ),
        migrations.AddField(
            model_name='message',
            name='agent_name',
            field=models.CharField(help_text='The username of who wrote an agent reply.', max_length=255, null=True, verbose_name='agent'),
        ),
        migrations.AlterField(
            model_name='channel',
            name='webhook_secret',
            field=models.CharField(default=django_chatapi.tokens.make_webhook_secret, help_text='The receiver checks the webhook-signature header with it.', max_length=255, validators=[django.core.validators.RegexValidator('\\A(?!whsec_\\Z)', 'This is only the beginning of a secret.')], verbose_name='webhook signing secret'),
        ),
        migrations.AlterField(
            model_name='message',
            name='answer_state',
            field=models.CharField(choices=[('pending', 'waiting for the bot'), ('partial', 'answered in part'), ('answered', 'answered'), ('failed', 'failed'), ('interrupted', 'interrupted'), ('handed_over', 'for an agent')], max_length=11, null=True, verbose_name='answer'),
        ),
        migrations.CreateModel(
            name='AgentGroup',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='What a bot puts into the destination of its switch reply to reach these agents.', max_length=255, verbose_name='name')),
                ('channel', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='agent_groups', to='django_chatapi.channel', verbose_name='channel')),
                ('members', models.ManyToManyField(blank=True, db_constraint=False, help_text='Each also needs the permission “Can answer clients”.', related_name='chatapi_groups', to=settings.AUTH_USER_MODEL, verbose_name='members')),
            ],
            options={
                'verbose_name': 'group of agents',
                'verbose_name_plural': 'groups of agents',
                'ordering': ['channel', 'name'],
            },
        ),
        migrations.CreateModel(
            name='CannedAnswer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('shortcut', models.SlugField(allow_unicode=True, help_text='What an agent types after a slash.', verbose_name='shortcut')),
                ('text', models.TextField(max_length=10000, verbose_name='text')),
                ('channel', models.ForeignKey(blank=True, help_text='None: for all channels.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='canned_answers', to='django_chatapi.channel', verbose_name='channel')),
            ],
            options={
                'verbose_name': 'canned answer',
                'verbose_name_plural': 'canned answers',
                'ordering': ['shortcut', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='Dialog',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('search_key', models.CharField(editable=False, max_length=510, verbose_name='search key')),
                ('state', models.CharField(choices=[('waiting', 'waiting'), ('open', 'open'), ('closed', 'closed')], max_length=7, verbose_name='state')),
                ('one_time', models.BooleanField(default=False, help_text='A message for the agents; the client stays with the bot.', verbose_name='one-time message')),
                ('created_at', models.DateTimeField(verbose_name='handed over')),
                ('waiting_since', models.DateTimeField(null=True, verbose_name='waiting since')),
                ('taken_at', models.DateTimeField(null=True, verbose_name='taken')),
                ('closed_at', models.DateTimeField(null=True, verbose_name='closed')),
                ('changed_at', models.DateTimeField(verbose_name='changed')),
                ('unread', models.PositiveIntegerField(default=0, help_text="The client's messages that no agent has seen.", verbose_name='unread')),
                ('last_message', models.CharField(blank=True, default='', max_length=200, verbose_name='last message')),
                ('last_message_at', models.DateTimeField(verbose_name='time of the last message')),
                ('visible_after', models.BigIntegerField(default=0, editable=False, verbose_name='visible after')),
                ('visible_until', models.BigIntegerField(editable=False, null=True, verbose_name='visible until')),
                ('typing_at', models.DateTimeField(editable=False, null=True, verbose_name='agent typing')),
                ('typing_sequence', models.BigIntegerField(default=0, editable=False, verbose_name='sequence number of typing')),
                ('first_message', models.TextField(blank=True, default='', verbose_name='first message')),
                ('farewell', models.TextField(blank=True, default='', help_text='What the client gets who ends it with a phrase.', verbose_name='farewell')),
                ('close_phrases', django_chatapi.models.fields.JSONTextField(default=list, verbose_name='phrases that close it')),
                ('append_close_button', models.BooleanField(default=False, verbose_name='append a close button')),
                ('attributes', django_chatapi.models.fields.JSONTextField(default=dict, verbose_name='attributes')),
                ('hidden_attributes', django_chatapi.models.fields.JSONTextField(default=dict, verbose_name='hidden attributes')),
                ('agent', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='chatapi_dialogs', to=settings.AUTH_USER_MODEL, verbose_name='agent')),
                ('channel', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='dialogs', to='django_chatapi.channel', verbose_name='channel')),
                ('client', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='dialogs', to='django_chatapi.client', verbose_name='client')),
                ('group', models.ForeignKey(blank=True, help_text='None: for all agents of the channel.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='dialogs', to='django_chatapi.agentgroup', verbose_name='group')),
            ],
            options={
                'verbose_name': 'dialog',
                'verbose_name_plural': 'dialogs',
            },
        ),
        migrations.CreateModel(
            name='Console',
            fields=[
            ],
            options={
                'verbose_name': "agents' console",
                'verbose_name_plural': "agents' console",
                'proxy': True,
                'default_permissions': (),
                'indexes': [],
                'constraints': [],
            },
            bases=('django_chatapi.dialog',),
        ),
        migrations.AddField(
            model_name='client',
            name='dialog',
            field=models.ForeignKey(blank=True, db_constraint=False, db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='django_chatapi.dialog', verbose_name='dialog'),
        ),
        migrations.AddIndex(
            model_name='client',
            index=models.Index(condition=models.Q(('dialog__isnull', False)), fields=['dialog'], name='chatapi_client_dialog'),
        ),
        migrations.AddField(
            model_name='dialogchange',
            name='client',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='dialog_changes', to='django_chatapi.client', verbose_name='client'),
        ),
        migrations.AddField(
            model_name='dialogchange',
            name='dialog',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='changes', to='django_chatapi.dialog', verbose_name='dialog'),
        ),
        migrations.AddField(
            model_name='dialognote',
            name='dialog',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='notes', to='django_chatapi.dialog', verbose_name='dialog'),
        ),
        migrations.AddConstraint(
            model_name='agentgroup',
            constraint=models.UniqueConstraint(fields=('channel', 'name'), name='chatapi_agent_group_unique'),
        ),
        migrations.AddIndex(
            model_name='dialog',
            index=models.Index(condition=models.Q(('state', 'waiting')), fields=['waiting_since', 'id'], name='chatapi_dialog_waiting'),
        ),
        migrations.AddIndex(
            model_name='dialog',
            index=models.Index(condition=models.Q(('state', 'waiting'), ('group__isnull', True)), fields=['channel', 'waiting_since', 'id'], name='chatapi_dialog_waiting_channel'),
        ),
        migrations.AddIndex(
            model_name='dialog',
            index=models.Index(condition=models.Q(('state', 'waiting'), ('group__isnull', False)), fields=['group', 'waiting_since', 'id'], name='chatapi_dialog_waiting_group'),
        ),
        migrations.AddIndex(
            model_name='dialog',
            index=models.Index(condition=models.Q(('state', 'open')), fields=['-last_message_at', '-id'], name='chatapi_dialog_open'),
        ),
        migrations.AddIndex(
            model_name='dialog',
            index=models.Index(condition=models.Q(('state', 'open'), ('group__isnull', True)), fields=['channel', '-last_message_at', '-id'], name='chatapi_dialog_open_channel'),
        ),
        migrations.AddIndex(
            model_name='dialog',
            index=models.Index(condition=models.Q(('state', 'open'), ('group__isnull', False)), fields=['group', '-last_message_at', '-id'], name='chatapi_dialog_open_group'),
        ),
        migrations.AddIndex(
            model_name='dialog',
            index=models.Index(condition=models.Q(('state', 'closed')), fields=['-closed_at', '-id'], name='chatapi_dialog_closed'),
        ),
        migrations.AddIndex(
            model_name='dialog',
            index=models.Index(condition=models.Q(('state', 'closed'), ('group__isnull', True)), fields=['channel', '-closed_at', '-id'], name='chatapi_dialog_closed_channel'),
        ),
        migrations.AddIndex(
            model_name='dialog',
            index=models.Index(condition=models.Q(('state', 'closed'), ('group__isnull', False)), fields=['group', '-closed_at', '-id'], name='chatapi_dialog_closed_group'),
        ),
        migrations.AddIndex(
            model_name='dialog',
            index=models.Index(condition=models.Q(('state', 'open')), fields=['agent', '-last_message_at', '-id'], name='chatapi_dialog_mine'),
        ),
        migrations.AddIndex(
            model_name='dialog',
            index=models.Index(fields=['search_key', 'state'], name='chatapi_dialog_search', opclasses=['varchar_pattern_ops', 'varchar_ops']),
        ),
        migrations.AddIndex(
            model_name='dialog',
            index=models.Index(fields=['client', '-id'], name='chatapi_dialog_client'),
        ),
        migrations.AddIndex(
            model_name='dialog',
            index=models.Index(fields=['changed_at'], name='chatapi_dialog_changed'),
        ),
        migrations.AddIndex(
            model_name='dialog',
            index=models.Index(condition=models.Q(('agent__isnull', False)), fields=['agent'], name='chatapi_dialog_agent'),
        ),
        migrations.AddIndex(
            model_name='dialog',
            index=models.Index(fields=['channel', '-id'], name='chatapi_dialog_channel'),
        ),
        migrations.AddIndex(
            model_name='dialogchange',
            index=models.Index(fields=['client', 'sequence'], name='chatapi_dialogchange_client'),
        ),
        migrations.AddIndex(
            model_name='dialogchange',
            index=models.Index(fields=['dialog', 'id'], name='chatapi_dialogchange_dialog'),
        ),
        migrations.AddIndex(
            model_name='dialognote',
            index=models.Index(fields=['dialog', 'id'], name='chatapi_dialognote_dialog'),
        ),
    ]
