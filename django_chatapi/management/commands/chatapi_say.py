"""``manage.py chatapi_say``: say something to a client."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ... import selectors
from ...actions.pushes import push
from ...constants import MessageType
from ...models import Channel
from ...wire.envelope import envelope
from ..arguments import check_text

SPEAKERS = {"agent": MessageType.HUMAN_RESPONSE, "bot": MessageType.BOT_RESPONSE}


class Command(BaseCommand):
    help = "Publishes a message to a client, as an agent or as the bot: whoever waits for its events gets it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--channel", required=True, metavar="TOKEN", help="The channel's token.")
        parser.add_argument("--client", required=True, metavar="ID", help="The clientId.")
        parser.add_argument("--as", dest="speaker", choices=SPEAKERS, default="agent", help="Who says it (agent).")
        parser.add_argument("--json", action="store_true", help="Print the message's envelope.")
        parser.add_argument("text", help="What to say.")

    def handle(self, *args: Any, **options: Any) -> None:
        channel = Channel.objects.with_token(options["channel"])
        if channel is None:
            raise CommandError("--channel: there is no channel with this token; see chatapi_channel list --json.")
        check_text("--client", options["client"])
        check_text("text", options["text"])
        client = selectors.find_client(channel, options["client"])
        if client is None:
            raise CommandError(f"--client: the channel “{channel}” has no client “{options['client']}” yet.")
        if not options["text"].strip():
            raise CommandError("The text is blank; say something.")
        reply = {"type": "text", "text": options["text"]}
        message = push(client=client, replies=[reply], type=SPEAKERS[options["speaker"]])
        if options["json"]:
            body = envelope(message, token=channel.token, client_id=client.client_id)
            self.stdout.write(json.dumps(body, ensure_ascii=False))
        else:
            self.stdout.write(f"Said as {options['speaker']}: {message.question_id}")
