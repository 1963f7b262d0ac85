"""Deliberate defects: one change of the source each, and the tests that have to fail for it."""

from __future__ import annotations

from typing import Final, NamedTuple

SIMULATION: Final = "tests/simulation/test_schedules.py"
COPIES: Final = "tests/simulation/test_copies.py"
TAKING_OVER: Final = "tests/simulation/test_taking_over.py"
COMMANDS: Final = "tests/unit/test_commands.py"
RULES: Final = "tests/unit/test_inventory.py"
FOLDING: Final = "tests/unit/test_folding.py"
FIRST_RULES: Final = "tests/unit/test_earlier_rules.py"
REMEMBERED_ORIGINS: Final = "tests/unit/test_origins.py"
SELLING: Final = "tests/unit/test_selling_rules.py"
HOLDS: Final = "tests/unit/test_holding.py"
CANCELLATIONS: Final = "tests/unit/test_cancelling_rules.py"
CHANGES: Final = "tests/unit/test_changing.py"
ARCHIVING: Final = "tests/unit/test_archiving_rules.py"
ARCHIVED: Final = "tests/integration/test_archiving.py"
CLOCK: Final = "tests/unit/test_clock.py"
FORGETTING: Final = "tests/simulation/test_archiving.py"
EARLIER: Final = "tests/integration/test_earlier_copies.py"
DAMAGE: Final = "tests/integration/test_lua_damage.py"
REPLACING: Final = "tests/integration/test_lua_replacing.py"
RIGHTS: Final = "tests/unit/test_redis_rights.py"
BREAKER: Final = "tests/unit/test_breaker.py"
FALLBACK: Final = "tests/faults/test_fallback.py"
CHAIN: Final = "tests/unit/test_ledger.py"
RELEASES: Final = "tests/simulation/test_releases.py"
RELEASES_MEET: Final = "tests/unit/test_releases.py"
TAILS: Final = "tests/simulation/test_lost_tails.py"
ORIGINS: Final = "tests/simulation/test_origins.py"
PASSING_OVER: Final = "tests/simulation/test_passing_over.py"
UNEXPECTED: Final = "tests/simulation/test_unexpected.py"
KEPT_READER: Final = "tests/integration/test_kept_reader.py"
CANCELLING: Final = "tests/integration/test_cancelling.py"
CLIENTS: Final = "tests/unit/test_clients.py"
TASKS: Final = "tests/unit/test_tasks.py"
LOSSES: Final = "tests/simulation/test_losses.py"
LEADERS: Final = "tests/simulation/test_leaders.py"
MANY_EVENTS: Final = "tests/simulation/test_many_events.py"
WORKER: Final = "tests/unit/test_worker.py"
RECOVERY: Final = "tests/integration/test_recovery.py"
STORE: Final = "tests/integration/test_redis_store.py"
SCRIPTS: Final = "tests/integration/test_lua_scripts.py"
STRANGERS: Final = "tests/unit/test_strangers.py"
PACKED: Final = "tests/unit/test_record_batches.py"
DECIDING: Final = "tests/unit/test_deciding.py"
BATCHES: Final = "tests/integration/test_batches.py"
PARTITIONS: Final = "tests/integration/test_partitions.py"
KEEPING: Final = "tests/simulation/test_keeping.py"
GROWING: Final = "tests/integration/test_growing.py"
TOPICS: Final = "tests/integration/test_topics.py"
MONEY: Final = "tests/unit/test_money.py"
SUMS: Final = "tests/unit/test_statistics_sums.py"
STATISTICS: Final = "tests/unit/test_statistics.py"
PUBLISHING: Final = "tests/unit/test_statistics_publishing.py"
FIGURES: Final = "tests/unit/test_figures.py"
PLACES: Final = "tests/unit/test_places.py"
CLOCKS: Final = "tests/simulation/test_clock.py"
CLOCK_WORK: Final = "tests/unit/test_clock_expiring.py"
MEASURING: Final = "tests/unit/test_statistics_measuring.py"
CODES: Final = "tests/unit/test_codes.py"
KEYS: Final = "tests/unit/test_door_keys.py"
HOLDING: Final = "tests/unit/test_door_holding.py"
STRUCTURE: Final = "tests/unit/test_rendering_structure.py"
TYPEFACES: Final = "tests/unit/test_rendering_scripts.py"
LANGUAGES: Final = "tests/unit/test_rendering_languages.py"
FLAWS: Final = "tests/unit/test_flaws.py"
FLAWED: Final = "tests/unit/test_flawed_documents.py"
GATEWAY: Final = "tests/simulation/test_gateway.py"
FOLLOWER: Final = "tests/simulation/test_gateway_follower.py"
ANSWERS: Final = "tests/unit/test_gateway_answers.py"
ANSWERING: Final = "tests/unit/test_gateway_answering.py"
ORDERS: Final = "tests/unit/test_gateway_orders.py"
POSTING: Final = "tests/unit/test_gateway_posting.py"
RECENT: Final = "tests/unit/test_gateway_recent.py"
LOOKUP: Final = "tests/unit/test_gateway_lookup.py"
TICKETS: Final = "tests/unit/test_gateway_tickets.py"
BODIES: Final = "tests/unit/test_gateway_bodies.py"
READER: Final = "tests/unit/test_gateway_reader.py"
CONNECTIONS: Final = "tests/unit/test_gateway_connections.py"
LIMITS: Final = "tests/unit/test_gateway_limits.py"
SENDING: Final = "tests/unit/test_gateway_sending.py"
CALLERS: Final = "tests/unit/test_gateway_callers.py"
ALERTS: Final = "tests/integration/test_alerts_firing.py"
REREADING: Final = "tests/unit/test_rereading.py"
ACCESS: Final = "tests/unit/test_access.py"
SECURITY: Final = "tests/unit/test_embedded_security.py"
TRACING: Final = "tests/unit/test_tracing.py"
TRACED: Final = "tests/unit/test_traced.py"
TRACED_SALES: Final = "tests/simulation/test_tracing.py"


class Defect(NamedTuple):
    """``old`` stands in ``file`` exactly once; with ``new`` in its place some test in ``tests`` fails."""

    name: str
    file: str
    old: str
    new: str
    tests: str = SIMULATION


DEFECTS: Final = (
    # The rules
    Defect(
        "a repeated request is decided anew",
        "models/inventory.py",
        "    if packed is not None:\n        return True, answer_again",
        "    if packed is not None and event.seq < 0:\n        return True, answer_again",
        RULES,
    ),
    Defect(
        "a repeat takes a new seq",
        "models/selling.py",
        "return confirmed(event, request, accepted.buyer, lines, runs)",
        "return confirmed(event, (request[0], event.seq + 1, *request[2:]), accepted.buyer, lines, runs)",
    ),
    Defect(
        "cancelled tickets go to the head of the queue",
        "models/event.py",
        "self.queue.extend(runs)",
        "self.queue.extendleft(reversed(runs))",
    ),
    Defect(
        "a purchase is cancelled twice",
        "models/cancelling.py",
        "    if purchase.state is State.CANCELLED:\n",
        "    if purchase.state is State.CANCELLED and event.seq < 0:\n",
        RULES,
    ),
    Defect(
        "whoever knows a purchase's id can cancel it, whatever buyer is named",
        "models/cancelling.py",
        "    return command.buyer is None or command.buyer == buyer\n",
        "    return command.buyer is None or command.buyer != ''\n",
        RULES,
    ),
    Defect(
        "a member that is null is not left out",
        "models/commands.py",
        "    given = without_nulls(members)\n    claimed",
        "    given = members\n    claimed",
        COMMANDS,
    ),
    Defect(
        "a null in a price is not left out",
        "models/commands.py",
        "    if isinstance(value, dict):\n        return without_nulls(value)\n",
        "    if isinstance(value, dict):\n        return value\n",
        COMMANDS,
    ),
    Defect(
        "a fact does not say which request could not be read",
        "models/facts.py",
        '    if "request_id" in claimed:\n',
        '    if "request_id" in reason:\n',
        DECIDING,
    ),
    Defect(
        "a fact does not say of which event the command is that could not be read",
        "models/facts.py",
        '    if "event_id" in claimed:\n',
        '    if "event_id" in reason:\n',
        DECIDING,
    ),
    Defect(
        "an id of any length, of whatever characters, is claimed in the ledger",
        "models/values.py",
        "_CLAIM.fullmatch(found)",
        "_CLAIM.match(found)",
        COMMANDS,
    ),
    Defect(
        "an event does not say that earlier releases cannot read its time",
        "models/facts.py",
        'if not is_in_first_form(fact["starts_at"]):',
        'if not fact["starts_at"]:',
        RELEASES_MEET,
    ),
    Defect(
        "the order limit is ignored",
        "models/selling.py",
        "    if sum_of(lines) > event.max_per_order:\n",
        "    if sum_of(lines) > event.max_per_order + 100:\n",
    ),
    Defect(
        "a fold that takes a fact whose seq is not the next",
        "models/inventory.py",
        "if seq > event.seq + 1:",
        "if seq > event.seq + 1_000:",
        FOLDING,
    ),
    Defect(
        "second copies of forwards are decided",
        "models/inventory.py",
        "return origins is not None and (origin",
        "return origins is not None and origins is None and (origin",
        REMEMBERED_ORIGINS,
    ),
    Defect(
        "a refusal for an unknown event forgets where its command came from",
        "models/inventory.py",
        "        _remember_origin(inventory, fact)\n        return False",
        "        return False",
        REMEMBERED_ORIGINS,
    ),
    Defect(
        "one origin of each partition is remembered again, the highest",
        "models/origins.py",
        "ORIGINS_KEPT: Final = 64",
        "ORIGINS_KEPT: Final = 1",
        REMEMBERED_ORIGINS,
    ),
    Defect(
        "a second copy from far back is decided",
        "models/origins.py",
        "return at == 0 and len(self._highest) >= ORIGINS_KEPT",
        "return False",
        REMEMBERED_ORIGINS,
    ),
    Defect(
        "a forged origin hides the command that lies there",
        "models/origins.py",
        "self._highest[at] == answered:",
        "self._highest[at][0] == answered[0]:",
        REMEMBERED_ORIGINS,
    ),
    Defect(
        "the fold remembers sources that cannot be true",
        "models/inventory.py",
        "if inventory.ends is None or offset < inventory.ends.get(partition, offset + 1):",
        "if offset >= 0:",
        ORIGINS,
    ),
    # The whole sale
    Defect(
        "refusals are forgotten",
        "models/selling.py",
        '    if not event.by_present_rules(fact["seq"]) or fact["reason"] == Reason.REQUEST_ID_REUSED:\n',
        '    if fact["seq"] > 0:\n',
        RULES,
    ),
    Defect(
        "events of the first rules remember refusals",
        "models/selling.py",
        '    if not event.by_present_rules(fact["seq"]) or fact["reason"] == Reason.REQUEST_ID_REUSED:\n',
        '    if fact["reason"] == Reason.REQUEST_ID_REUSED:\n',
        FIRST_RULES,
    ),
    Defect(
        "a part is given back of what is sold by the first rules",
        "models/cancelling.py",
        "    if remaining and not event.by_present_rules(request[1]):\n",
        "    if not runs and not event.by_present_rules(request[1]):\n",
        FIRST_RULES,
    ),
    Defect(
        "a buyer's held tickets are not counted",
        "models/selling.py",
        "    if event.bought is not None:\n        event.count_for",
        "    if event.bought is not None and not is_held:\n        event.count_for",
        SELLING,
    ),
    Defect(
        "a buyer's tickets count after he gave them back",
        "models/cancelling.py",
        "    event.count_for(purchase.buyer, -count_of(runs))\n",
        "",
        SELLING,
    ),
    Defect(
        "the last millisecond of a sale is one too many",
        "models/selling.py",
        "position.at_ms >= event.off_sale_ms:",
        "position.at_ms > event.off_sale_ms:",
        SELLING,
    ),
    Defect(
        "held tickets that may come back are told to be sold",
        "models/selling.py",
        "    return Reason.ALL_HELD if all(category.held for category in gone) else Reason.SOLD_OUT\n",
        "    return Reason.SOLD_OUT\n",
        SELLING,
    ),
    Defect(
        "whoever pays after the deadline is late, though the hold stands",
        "models/holding.py",
        "    late = purchase.state is State.EXPIRED\n",
        "    late = purchase.state is State.EXPIRED or position.at_ms >= purchase.due_ms\n",
        HOLDS,
    ),
    Defect(
        "a purchase is unpacked once, whatever becomes of it",
        "models/event.py",
        "if self._unpacked is None or self._unpacked[0] is not packed:",
        "if self._unpacked is None:",
        HOLDS,
    ),
    Defect(
        "a late payment takes its old tickets",
        "models/holding.py",
        "runs = event.head(event.lines_now(purchase)) if late else purchase.runs",
        "runs = purchase.runs",
        HOLDS,
    ),
    Defect(
        "a payment is used twice",
        "models/inventory.py",
        "isinstance(command, ConfirmPurchase) and command.payment in event.payments:",
        "isinstance(command, ConfirmPurchase) and not command.payment:",
        HOLDS,
    ),
    Defect(
        "a refused payment is looked at anew",
        "models/holding.py",
        "    event.keep(fact, offset, origin)\n    event.payments[payment] = request_id\n",
        "    event.keep(fact, offset, origin)\n",
        HOLDS,
    ),
    Defect(
        "a hold expires before it is due",
        "models/holding.py",
        "    if position.at_ms < purchase.due_ms:\n",
        "    if position.at_ms < 0:\n",
        HOLDS,
    ),
    Defect(
        "tickets are given back to another category",
        "models/event.py",
        "            category = self.categories[place]\n            joined = category.join(own)\n",
        "            category = self.categories[0]\n            joined = category.join(own)\n",
        CANCELLATIONS,
    ),
    Defect(
        "a cancellation of some tickets gives all back",
        "models/cancelling.py",
        "    event.give_back(runs, held=held)\n",
        "    event.give_back(purchase.runs, held=held)\n",
        CANCELLATIONS,
    ),
    Defect(
        "what was given back while it was held is said to have been paid for",
        "models/cancelling.py",
        '"payment": None if held else purchase.payment or None,',
        '"payment": purchase.payment or None,',
        CANCELLATIONS,
    ),
    Defect(
        "a new price reaches what is held",
        "models/event.py",
        "            return purchase.lines\n",
        "            return tuple((place, many, self.categories[place].price) for place, many, _ in purchase.lines)\n",
        HOLDS,
    ),
    Defect(
        "tickets are removed from the head of the queue",
        "models/event.py",
        "            first, last = self.queue.pop()\n",
        "            first, last = self.queue.popleft()\n",
        CHANGES,
    ),
    Defect(
        "an event with holds is archived",
        "models/archiving.py",
        "    return not (event.closed or event.cancelled) or bool(event.held)\n",
        "    return not (event.closed or event.cancelled)\n",
        ARCHIVING,
    ),
    Defect(
        "an archived event keeps its records",
        "models/inventory.py",
        "        del inventory.events[event.event_id]\n",
        "        event.closed = True\n",
        ARCHIVING,
    ),
    # The ledger
    Defect(
        "a fold that takes any record",
        "models/ledger.py",
        "if first != self.bookmark + 1:",
        "if first < 0:",
    ),
    Defect(
        "a damaged record moves the bookmark",
        "models/ledger.py",
        "            return Taken.DAMAGED\n        self.bookmark",
        "            self.bookmark = last\n            return Taken.DAMAGED\n        self.bookmark",
    ),
    Defect(
        "a record accounts for its own command alone",
        "boxoffice/selling/deciding.py",
        "first = self.ledger.bookmark + 1",
        "first = record.offset",
    ),
    Defect(
        "an event is decided away from its home",
        "boxoffice/selling/deciding.py",
        "if home != self.number:",
        "if home == -1:",
    ),
    Defect(
        "the clock decides",
        "boxoffice/selling/deciding.py",
        "Position(record.offset, record.timestamp, source)",
        'Position(record.offset, __import__("time").time_ns() // 10**6, source)',
    ),
    # The number of partitions
    Defect(
        "a process starts without a look at the ledger's number of partitions",
        "boxoffice/kafka/homes.py",
        "    if otherwise is not None:\n        raise PartitionsChangedError",
        "    if otherwise is not None and partitions < 0:\n        raise PartitionsChangedError",
        PARTITIONS,
    ),
    Defect(
        "only the headers say with how many partitions the ledger was written",
        "boxoffice/kafka/homes.py",
        "            homes |= dict.fromkeys(_decided(tail), tp.partition)",
        "            pass",
        PARTITIONS,
    ),
    Defect(
        "strangers' facts in one partition say with how many partitions the ledger was written",
        "boxoffice/kafka/homes.py",
        "    if not written and any(home_partition",
        "    if any(home_partition",
        PARTITIONS,
    ),
    Defect(
        "a fact that accounts for no command says with how many partitions the ledger was written",
        "boxoffice/kafka/homes.py",
        "        if read_range(header(record.headers, READ_HEADER)) is None:\n            continue\n",
        "",
        PARTITIONS,
    ),
    Defect(
        "the very last record alone says with how many partitions the ledger was written",
        "boxoffice/kafka/homes.py",
        "LOOKED_AT: Final = 20",
        "LOOKED_AT: Final = 1",
        PARTITIONS,
    ),
    Defect(
        "commands that expired before they were delivered are passed over",
        "boxoffice/selling/recovery.py",
        "                gone = first > owned.ledger.bookmark + 1\n",
        "                gone = False\n",
        PASSING_OVER,
    ),
    Defect(
        "a worker looks behind its bookmarks where nothing is",
        "boxoffice/selling/pipeline.py",
        "if ends.get(number, 0) > stands[number][1] + 1]",
        "if ends.get(number, 0) >= 0]",
        PASSING_OVER,
    ),
    Defect(
        "a reader that has failed is used again",
        "boxoffice/kafka/clients.py",
        "            except BaseException:\n                await self._close()\n",
        "            except BaseException:\n",
        KEPT_READER,
    ),
    Defect(
        "a reader that stays open keeps what it fetched too much",
        "boxoffice/kafka/clients.py",
        "            consumer.seek(partition, 0)\n",
        "            assert consumer\n",
        KEPT_READER,
    ),
    Defect(
        "a client that is cancelled while it connects leaves the connection open",
        "boxoffice/kafka/clients.py",
        "        await connections.close()\n",
        "        assert connections\n",
        CANCELLING,
    ),
    Defect(
        "the end of a reader whose broker is gone is left half done",
        "boxoffice/kafka/fetching.py",
        "    await end_tasks(self._pending_tasks)\n    self._pending_tasks.clear()\n",
        "",
        CANCELLING,
    ),
    Defect(
        "who uses a client that has cancelled itself ends, and tells nobody",
        "boxoffice/kafka/clients.py",
        '    with others_cancellations_as(KafkaError("the client has cancelled itself")):\n',
        "    with Connections():\n",
        CLIENTS,
    ),
    Defect(
        "nobody is told of work in the background that was cancelled by others",
        "boxoffice/tasks.py",
        "asyncio.CancelledError() if done.cancelled() else done.exception()",
        "None if done.cancelled() else done.exception()",
        TASKS,
    ),
    Defect(
        "nobody looks at what was skipped where a loss was accepted",
        "boxoffice/selling/pipeline.py",
        "        if run.has_gaps or run.first != owned.position:\n",
        "        if run.has_gaps:\n",
        LOSSES,
    ),
    Defect(
        "a loss that only begins within what was accepted is accepted",
        "boxoffice/selling/recovery.py",
        "                first = accepted_last + 1\n        return first > last\n",
        "                return True\n        return False\n",
        RECOVERY,
    ),
    Defect(
        "what can be read is passed over where its loss was accepted",
        "boxoffice/selling/recovery.py",
        "                skipped = [record.offset for record in found if record.offset not in delivered]\n",
        "                skipped = [\n"
        "                    record.offset\n"
        "                    for record in found\n"
        "                    if record.offset not in delivered\n"
        "                    and not self.accepts_loss(number, record.offset, record.offset)\n"
        "                ]\n",
        RECOVERY,
    ),
    Defect(
        "a folded event away from its home is accepted",
        "boxoffice/selling/recovery.py",
        "            if home != owned.number:",
        "            if home < 0:",
        PARTITIONS,
    ),
    Defect(
        "a partition that a worker does not know of is taken over",
        "boxoffice/selling/recovery.py",
        "if max(owned) >= self.partitions:",
        "if max(owned) >= 1_000:",
        PARTITIONS,
    ),
    Defect(
        "a fact does not say the number of partitions",
        "boxoffice/selling/publishing.py",
        '        (PARTITIONS_HEADER, b"%d" % partitions),\n',
        "",
    ),
    Defect(
        "a living worker does not see that partitions were raised",
        "boxoffice/kafka/topics.py",
        "if any(count != partitions for count in counts.values()):",
        "if any(count < 0 for count in counts.values()):",
        PARTITIONS,
    ),
    Defect(
        "a ledger that may expire is sold on",
        "boxoffice/kafka/topics.py",
        "harm is not None)",
        "False)",
        TOPICS,
    ),
    Defect(
        "record batches are as large as ever, whatever the topic takes",
        "boxoffice/process/worker.py",
        "return Topics(partitions, await most_batch_bytes(settings, (*SALE, *also, *aligned)))",
        "return Topics(partitions, BatchOptions.max_batch_bytes)",
        TOPICS,
    ),
    Defect(
        "nobody is told that a topic takes smaller batches than ours",
        "boxoffice/kafka/topics.py",
        "    if found == MOST_BATCH_BYTES:\n",
        "    if found >= LEAST_BATCH_BYTES:\n",
        TOPICS,
    ),
    Defect(
        "asking for a topic lets the broker make it",
        "boxoffice/kafka/clients.py",
        "super().__init__(topics, allow_auto_topic_creation=False)",
        "super().__init__(topics, allow_auto_topic_creation=True)",
        TOPICS,
    ),
    Defect(
        "a fact that is moved keeps the place where its command was",
        "boxoffice/operating/growing.py",
        '{**one.fact, "source": source}',
        "{**one.fact}",
        GROWING,
    ),
    Defect(
        "a forwarded command that nobody decided is moved twice",
        "boxoffice/operating/growing.py",
        "return [record for record in kept if id(record) not in forwarded]",
        "return kept",
        GROWING,
    ),
    Defect(
        "workers may sell from a move that is not finished",
        "boxoffice/operating/growing.py",
        '_WRITERS_TIMES: Final = "CreateTime"',
        '_WRITERS_TIMES: Final = "LogAppendTime"',
        GROWING,
    ),
    Defect(
        "a move does not compare what arrived",
        "boxoffice/operating/growing.py",
        "if self._digests.get(event_id) != digest:",
        "if event_id not in self._digests:",
        GROWING,
    ),
    # Publishing
    Defect(
        "facts are published grouped by event",
        "boxoffice/selling/publishing.py",
        "for answer in answers]\n        landed",
        'for answer in sorted(answers, key=lambda one: one.fact["event_id"] or "")]\n        landed',
    ),
    Defect(
        "facts go out without waiting for forwards",
        "boxoffice/selling/publishing.py",
        "            await asyncio.gather(*map(asyncio.shield, first))\n",
        "            self._sides = asyncio.gather(*map(asyncio.shield, first))\n",
    ),
    Defect(
        "dead letters are not kept",
        "boxoffice/selling/pipeline.py",
        "                    self._keeper.keep(owned, answers)\n",
        "                    pass\n",
        KEEPING,
    ),
    Defect(
        "a sale waits for its dead letters",
        "boxoffice/selling/pipeline.py",
        "                    self._keeper.keep(owned, answers)\n",
        "                    self._keeper.keep(owned, answers)\n"
        "            await asyncio.sleep(30 if self._keeper.owed else 0)\n",
        KEEPING,
    ),
    Defect(
        "a dead letter goes where the command lay",
        "topics/dead_letters.py",
        "return number % partitions",
        "return number",
        KEEPING,
    ),
    Defect(
        "dead letters that another owner owed are not kept",
        "boxoffice/selling/pipeline.py",
        "        self._keeper.adopt(owned)\n",
        "",
        KEEPING,
    ),
    Defect(
        "letters that were not taken count as kept",
        "boxoffice/selling/keeping.py",
        "            line.letters, line.read_again = [], True\n            raise",
        "            pass",
        KEEPING,
    ),
    Defect(
        "what the keeping meets ends it",
        "boxoffice/selling/keeping.py",
        "            except Exception as error:  # noqa: BLE001  # whatever it is: no sale",
        "            except OSError as error:  # noqa: BLE001  # whatever it is: no sale",
        KEEPING,
    ),
    Defect(
        "how far letters are kept is not noted",
        "boxoffice/selling/keeping.py",
        "        await box.note({number: kept_to})",
        "        await asyncio.sleep(0)",
        KEEPING,
    ),
    Defect(
        "a command that has just expired looks like another one",
        "boxoffice/selling/recovery.py",
        "            if now > start:",
        "            if now < start:",
        "tests/simulation/test_passing_over.py",
    ),
    Defect(
        "where a record landed is not compared with the ledger's end",
        "boxoffice/selling/publishing.py",
        "if base_offset != owned.ledger_end:",
        "if base_offset < 0:",
        TAILS,
    ),
    Defect(
        "a batch is acknowledged before it is published",
        "boxoffice/selling/pipeline.py",
        "            self._give_up(await self._publisher.publish(together))\n",
        "            for taken in waiting:\n                if taken.batch is not None:\n"
        "                    taken.batch.ack()\n"
        "            self._give_up(await self._publisher.publish(together))\n"
        "            return\n",
    ),
    Defect(
        "a publish that failed is passed over",
        "boxoffice/selling/pipeline.py",
        "        with self._ending_on_failure():\n            together =",
        "        import contextlib\n\n        with contextlib.suppress(Exception):\n            together =",
    ),
    Defect(
        "a failure does not end the process",
        "boxoffice/process/worker.py",
        "    except Exception as error:  # noqa: BLE001  # whatever it is\n        end_process(error)",
        '    except Exception as error:  # noqa: BLE001  # whatever it is\n        log.error("failed", error=error)',
        WORKER,
    ),
    # Taking over
    Defect(
        "a partition is decided without its ledger having been read",
        "boxoffice/selling/recovery.py",
        "facts += await self._read_ledger(consumer, ledgers[number], ends[ledgers[number]], partition)",
        "partition.ledger_end = ends[ledgers[number]]",
    ),
    Defect(
        "a partition is kept over a ledger that lost its tail",
        "boxoffice/selling/recovery.py",
        "        await check_settled(consumer, tp, range(start, end), owned.checkpoints)\n",
        "",
        RECOVERY,
    ),
    Defect(
        "a partition begins where the group's offset is",
        "boxoffice/selling/pipeline.py",
        "                consumer.start_at(tp, owned.position)\n",
        "",
    ),
    Defect(
        "decisions that were not acknowledged are kept in the table",
        "boxoffice/selling/pipeline.py",
        "        self._forget({number for number, owned in self._owned.items() if owned.unsettled})\n",
        "",
        TAKING_OVER,
    ),
    Defect(
        "gaps between commands are not looked at",
        "boxoffice/selling/pipeline.py",
        "if run.has_gaps or run.first != owned.position:",
        "if not run.records:",
    ),
    Defect(
        "a partition that comes back keeps what was known of its events in Redis",
        "boxoffice/selling/pipeline.py",
        "if owned.ledger.bookmark != bookmarks[number]:",
        "if owned.ledger.bookmark < -1:",
        TAKING_OVER,
    ),
    Defect(
        "a process that lost the broker while it read is not started again",
        "boxoffice/errors.py",
        "    {\n        ExitStatus.UNREACHABLE,\n",
        "    {\n",
    ),
    # Redis' scripts
    Defect(
        "purchase.lua has no fence",
        "lua/purchase.lua",
        "if offset <= event.fence then",
        "if offset < 0 then",
    ),
    Defect(
        "purchase.lua answers behind the caller's seq",
        "lua/purchase.lua",
        "if event.seq < caller_seq then",
        "if event.seq < 0 then",
        SCRIPTS,
    ),
    Defect(
        "an effect is applied at another seq than its own",
        "lua/purchase.lua",
        "if effect.seq ~= event.seq then",
        "if effect.seq < event.seq then",
        SCRIPTS,
    ),
    Defect(
        "replace.lua puts an older event in the place of a newer one",
        "lua/replace.lua",
        "if is_newer() then",
        "if live('seq') < 0 then",
        REPLACING,
    ),
    Defect(
        "replace.lua switches in what was loaded in part",
        "lua/replace.lua",
        "if not is_complete() then",
        "if seq < 0 then",
        REPLACING,
    ),
    Defect(
        "sold tickets stay in the queue",
        "lua/purchase.lua",
        "if queue.taken > 0 then redis.call",
        "if queue.taken > 1000 then redis.call",
    ),
    Defect(
        "Redis is seeded from the capacity",
        "lua/copies.py",
        "numbers_in(event.categories[place].queue)",
        "numbers_in([(1, event.issued)])",
    ),
    Defect(
        "a sale is answered by what has become of it",
        "lua/purchase.lua",
        " or record.by or record.cancelled_by then",
        " then",
        SCRIPTS,
    ),
    Defect(
        "purchase.lua sells from another queue",
        "lua/purchase.lua",
        "sell_of(queues[wanted[at]], figure, wanted[at + 1])",
        "sell_of(queues[wanted[1]], figure, wanted[at + 1])",
        SCRIPTS,
    ),
    Defect(
        "purchase.lua looks at the first line of an order alone",
        "lua/purchase.lua",
        "    if queues[wanted[at]].left < wanted[at + 1] then return false end\n",
        "    return queues[wanted[at]].left >= wanted[at + 1]\n",
        SCRIPTS,
    ),
    Defect(
        "purchase.lua removes tickets from the head",
        "lua/purchase.lua",
        "KEYS[at + 2], '0', digits(-queue.dropped - 1))",
        "KEYS[at + 2], digits(queue.dropped), '-1')",
        SCRIPTS,
    ),
    Defect(
        "purchase.lua does not read what leaves the tail",
        "lua/purchase.lua",
        "(change.take and change.count or 0) + (change.drop or 0)",
        "(change.take and change.count or 0)",
        SCRIPTS,
    ),
    Defect(
        "purchase.lua begins to write with what a full Redis takes",
        "lua/purchase.lua",
        "local function write()\n",
        "local function write()\n  for at = 1, #queues do redis.call('LTRIM', KEYS[at + 2], '0', '-1') end\n",
        DAMAGE,
    ),
    Defect(
        "Redis is told the tickets of another category",
        "lua/effects.py",
        "found.setdefault(event.category_of(ticket_number(ticket)), [])",
        "found.setdefault(0, [])",
        SCRIPTS,
    ),
    Defect(
        "a change to the present rules leaves the record of the creation as it was",
        "lua/effects.py",
        '    elif kind == "event_changed" and event.rules_since == fact["seq"]:\n        # By',
        '    elif kind == "event_changed" and event.rules_since < 0:\n        # By',
        EARLIER,
    ),
    Defect(
        "an archived event stays in Redis",
        "boxoffice/selling/copies.py",
        "            await self._store.forget(forgotten)\n",
        "            await asyncio.sleep(0)\n",
        FORGETTING,
    ),
    Defect(
        "an archived event that a replaced owner has loaded again stays in Redis",
        "boxoffice/selling/copies.py",
        "        self._to_forget.update(self._forgotten[-FORGOTTEN_AGAIN:])\n",
        "",
        FORGETTING,
    ),
    Defect(
        "an event whose meta is damaged is never forgotten",
        "boxoffice/redis/store.py",
        '    if str(reply).startswith("WRONGTYPE"):\n        return None\n',
        "",
        ARCHIVED,
    ),
    Defect(
        "workers may not use the queues of categories",
        "boxoffice/redis/access.py",
        "    return event_keys(prefix, _ANY, (GENERAL, _ANY)).all\n",
        "    return event_keys(prefix, _ANY).all\n",
        RIGHTS,
    ),
    # The copies in Redis
    Defect(
        "facts are settled out of order",
        "boxoffice/selling/copies.py",
        "facts = copy.backlog[:SETTLED_AT_ONCE]",
        "facts = copy.backlog[:SETTLED_AT_ONCE][::-1]",
    ),
    Defect(
        "a settle that failed loses the backlog",
        "boxoffice/selling/copies.py",
        "            copy.state = CopyState.BEHIND\n            self.breaker.failed(error)",
        "            copy.state = CopyState.BEHIND\n            copy.backlog.clear()\n"
        "            self.breaker.failed(error)",
        COPIES,
    ),
    Defect(
        "what is decided during a rebuild is not kept",
        "boxoffice/selling/event_copy.py",
        "if not self.lost_more or self._state is CopyState.REBUILDING:",
        "if not self.lost_more and self._state is not CopyState.REBUILDING:",
    ),
    Defect(
        "a reply to what was asked before ends a rebuild",
        "boxoffice/selling/event_copy.py",
        "if self.lost_more or self._state is CopyState.REBUILDING:",
        "if self.lost_more:",
        COPIES,
    ),
    # What nobody expects
    Defect(
        "a probe that fails in an unknown way is the last one",
        "boxoffice/redis/breaker.py",
        "except Exception as error:  # noqa: BLE001  # whatever a client raises: who probes",
        "except UNSERVED as error:  # who probes",
        UNEXPECTED,
    ),
    Defect(
        "an unknown failure ends the watching of all copies",
        "boxoffice/selling/copies.py",
        "                except Exception as error:  # noqa: BLE001  # who watches no more heals nothing any more\n",
        "                except OSError as error:\n",
        UNEXPECTED,
    ),
    Defect(
        "a take-over waits for what the ledger has lost meanwhile",
        "boxoffice/kafka/clients.py",
        "            if not fetched and (await consumer.end_offsets([partition]))[partition] < end:\n",
        "            if not fetched and end < 0:\n",
        UNEXPECTED,
    ),
    Defect(
        "the last record alone tells whether a ledger lost its tail",
        "boxoffice/selling/deciding.py",
        "return [*self.anchors, (self.settled_at, self.settled_bookmark)]",
        "return [(self.settled_at, self.settled_bookmark)]",
        TAILS,
    ),
    Defect(
        "the first record that was written is not looked for again",
        "boxoffice/selling/publishing.py",
        "            if len(owned.anchors) == 1:\n",
        "            if not owned.anchors:\n",
        TAILS,
    ),
    Defect(
        "an owner looks at its ledger when it takes over alone",
        "boxoffice/selling/pipeline.py",
        "                await self._see_ledgers_whole()\n",
        "",
        TAILS,
    ),
    # Retention
    Defect(
        "what needs no answer at a partition's end is not accounted for",
        "boxoffice/selling/pipeline.py",
        "                if idle and consumer.flow_active:\n",
        "                if idle and not consumer.flow_active:\n",
        PASSING_OVER,
    ),
    Defect(
        "a forward is waited for whose source has no leader",
        "boxoffice/selling/request_ends.py",
        "left_alone = led_by_nobody(client, asked)",
        "left_alone: frozenset[TopicPartition] = frozenset()",
        ORIGINS,
    ),
    Defect(
        "what comes from a partition without a leader is not believed",
        "boxoffice/selling/deciding.py",
        "        if end is None:\n            return origin\n",
        "",
        ORIGINS,
    ),
    Defect(
        "an end is believed that nobody can say any more",
        "boxoffice/selling/request_ends.py",
        "            self.known.pop(tp.partition, None)\n",
        "            pass\n",
        ORIGINS,
    ),
    Defect(
        "the end of a partition is believed whose leader did not answer",
        "boxoffice/selling/request_ends.py",
        "            self._forget({partition})\n",
        "",
        ORIGINS,
    ),
    Defect(
        "an end that somebody says again is not noted",
        "boxoffice/selling/request_ends.py",
        "            self.known[tp.partition] = max(end, self.known.get(tp.partition, 0))\n",
        "            self.learn(tp.partition, end)\n",
        ORIGINS,
    ),
    Defect(
        "any origin is believed",
        "boxoffice/selling/deciding.py",
        'if end is not None and origin["offset"] < end:',
        "if True:",
        ORIGINS,
    ),
    Defect(
        "an origin that came true since is not believed",
        "boxoffice/selling/pipeline.py",
        "answers[owned.number] += owned.answer(run.records, asked)",
        "answers[owned.number] += owned.answer(run.records)",
        ORIGINS,
    ),
    Defect(
        "what was passed over before is looked for again when it may be gone",
        "boxoffice/selling/pipeline.py",
        "            first = max(owned.position, owned.ledger.bookmark + 1)\n",
        "            first = owned.position\n",
        PASSING_OVER,
    ),
    Defect(
        "a command at a partition's end is passed over",
        "boxoffice/selling/recovery.py",
        "            passed = passed and all(owned.is_second_copy(record) for record in records)\n",
        "            passed = passed and bool(records)\n",
        PASSING_OVER,
    ),
    # Releases
    Defect(
        "what a newer release wrote is taken for damage",
        "models/ledger.py",
        "            self.newer = str(error)\n            return Taken.NEWER\n",
        "            return Taken.DAMAGED if error else Taken.NEWER\n",
        RELEASES,
    ),
    Defect(
        "the chain goes on behind what a newer release wrote",
        "models/ledger.py",
        "        if self.newer is not None:\n",
        "        if self.newer is not None and self.bookmark < -1:\n",
        CHAIN,
    ),
    Defect(
        "rules that are not known are decided by those that are",
        "models/facts.py",
        "if isinstance(rules, int) and rules > RULES_VERSION:",
        "if isinstance(rules, int) and rules > RULES_VERSION + 1:",
        RELEASES,
    ),
    Defect(
        "members of a command that are not known are ignored",
        "models/commands.py",
        'extra="forbid"',
        'extra="ignore"',
        "tests/unit/test_commands.py",
    ),
    Defect(
        "each event of a batch adds up the backlogs of all events",
        "boxoffice/selling/copies.py",
        "        return self._tally.backlog_facts\n",
        "        return sum(len(copy.backlog) for copy in self._copies.values())\n",
        MANY_EVENTS,
    ),
    Defect(
        "a full backlog makes room for one fact at a time",
        "boxoffice/selling/copies.py",
        "if self.backlog_facts <= KEPT_OF_A_FULL_BACKLOG * limit:",
        "if self.backlog_facts <= limit:",
        MANY_EVENTS,
    ),
    Defect(
        "one call to Redis takes all that its events have missed",
        "boxoffice/selling/copies.py",
        "                room -= len(copy.backlog)\n",
        "",
        MANY_EVENTS,
    ),
    Defect(
        "a copy that was adopted during another's rebuild is taken for in step",
        "boxoffice/selling/copies.py",
        "                if event_id in self._healing:\n",
        "                if copy.given_up:\n",
        COPIES,
    ),
    Defect(
        "Redis is believed whatever it decides",
        "boxoffice/selling/copies.py",
        "elif all(agrees(one.fact, told) for one, told in zip(decided, reply.answers, strict=True)):",
        "elif reply.answers:",
        COPIES,
    ),
    Defect(
        "a Redis that lost an event is not noticed until the event sells",
        "boxoffice/selling/copies.py",
        "if position is None or position.seq < expected[event_id] or self._is_damaged(copy, position):",
        "if position is not None and position.seq < 0:",
    ),
    Defect(
        "nothing is healed when Redis is back",
        "boxoffice/selling/copies.py",
        "            if copy.state is not CopyState.IN_STEP:\n                self._heal(copy)\n\n",
        "            if copy.given_up:\n                self._heal(copy)\n\n",
    ),
    Defect(
        "a copy that was adopted while another was healed is healed by nobody",
        "boxoffice/selling/copies.py",
        "if copy is not None and copy.state is not CopyState.IN_STEP:",
        "if copy is not None and copy.state is CopyState.IN_STEP:",
    ),
    Defect(
        "a switch that Redis did not answer may still happen",
        "boxoffice/redis/store.py",
        "        if event.event_id in self._unanswered:\n",
        "        if event.event_id in self._unanswered and event.seq < 0:\n",
        STORE,
    ),
    Defect(
        "scripts that Redis forgot are not loaded again",
        "boxoffice/redis/store.py",
        "        if forgotten:\n",
        "        if len(forgotten) > 1_000:\n",
    ),
    # The breaker
    Defect(
        "the breaker never closes",
        "boxoffice/redis/breaker.py",
        "        self._probing = self.reason = None\n",
        "        self.reason = None\n",
    ),
    Defect(
        "the breaker never opens",
        "boxoffice/redis/breaker.py",
        "            self._probing = asyncio.create_task(self._probe_until_closed())",
        "            self._closing = asyncio.create_task(self._probe_until_closed())",
        BREAKER,
    ),
    Defect(
        "probes come without backing off",
        "boxoffice/redis/breaker.py",
        "self._delay_s = min(self._delay_s * 2, self._longest_delay_s)",
        "self._delay_s = self._first_delay_s",
        BREAKER,
    ),
    # What strangers may write
    Defect(
        "a batch may unpack to far more",
        "boxoffice/kafka/unpacking.py",
        "MAX_UNPACKED_BYTES: Final = 4 *",
        "MAX_UNPACKED_BYTES: Final = 64 *",
        PACKED,
    ),
    Defect(
        "a batch that unpacks to too much is passed over",
        "boxoffice/kafka/record_batches.py",
        "            return _unreadable(header, header.base_offset, NOT_UNPACKED)",
        "            return iter(())",
        PACKED,
    ),
    Defect(
        "what is no record is passed over",
        "boxoffice/kafka/record_batches.py",
        "    yield from _unreadable(header, behind, NO_RECORD)",
        "    yield from ()",
        PACKED,
    ),
    Defect(
        "headers by the million are made before they are counted",
        "boxoffice/kafka/record_batches.py",
        "        if _has_long_record(unpacked, _HEADER.size):",
        "        if not unpacked:",
        PACKED,
    ),
    Defect(
        "a part of a fetch is bounded by its records alone",
        "boxoffice/kafka/fetching.py",
        "batches.opened_bytes + headers * HEADER_BYTES >= most_bytes",
        "headers < 0",
        PACKED,
    ),
    Defect(
        "what waits is counted in records alone",
        "boxoffice/batching/consumer.py",
        "return self._waiting_bytes + self._taken_bytes >= self.options.buffer_bytes",
        "return self._waiting_bytes < 0",
        BATCHES,
    ),
    Defect(
        "empty headers count nothing",
        "boxoffice/kafka/side_records.py",
        'return max(LEAST_HEADER_BYTES, len(name.encode()) + len(value or b""))',
        'return len(name.encode()) + len(value or b"")',
        DECIDING,
    ),
    Defect(
        "a dead letter does not say why its batch was not unpacked",
        "boxoffice/selling/deciding.py",
        "raise UnreadableCommandError(why)",
        "pass",
        DECIDING,
    ),
    # What operators ask for
    Defect(
        "a drill is overlooked",
        "boxoffice/selling/copies.py",
        "        if asked.drill:\n",
        "        if asked.drill and self._stopping:\n",
        FALLBACK,
    ),
    Defect(
        "an operator's rebuild gives way to what claims to be newer",
        "boxoffice/redis/store.py",
        "(event.seq, int(force), records, *tickets)",
        "(event.seq, 0, records, *tickets)",
        FALLBACK,
    ),
    # What strangers wrote
    Defect(
        "figures are believed whatever key they lie under",
        "boxoffice/statistics/figures.py",
        '    if figures["event_id"] != event_id:\n',
        '    if not figures["event_id"]:\n',
        STRANGERS,
    ),
    Defect(
        "a row that is another's is believed",
        "boxoffice/statistics/table.py",
        "    if row.partition != number or [event.event_id for event in read] != [*events]:\n",
        "    if len(read) != len(events):\n",
        STRANGERS,
    ),
    Defect(
        "rows under strangers' keys are taken for events'",
        "boxoffice/statistics/table.py",
        "if key is not None and _EVENT_ID.fullmatch(key)}",
        "if key is not None and key != _partition_key(number)}",
        STRANGERS,
    ),
    Defect(
        "a field in Redis that is no JSON ends whoever reads it",
        "boxoffice/statistics/figures.py",
        '    except ValueError as error:\n        raise UnreadableFiguresError(f"{name}: {error}") from None',
        '    except UnicodeDecodeError as error:\n        raise UnreadableFiguresError(f"{name}: {error}") from None',
        STRANGERS,
    ),
    Defect(
        "a document is named as a fact's ticket says",
        "boxoffice/documents/progress.py",
        "        if not _names_its_own(fact):\n",
        "        if not fact:\n",
        STRANGERS,
    ),
    Defect(
        "a ticket may be of another event than its announcement",
        "models/documents.py",
        '    if not are_tickets_of(announcement["event_id"], [announcement["ticket"]]):\n',
        '    if not announcement["ticket"]:\n',
        STRANGERS,
    ),
    Defect(
        "a clock forgets a hold of which a part was cancelled",
        "boxoffice/clock/holds.py",
        '                if not fact.get("remaining"):\n                    self._end',
        "                if True:\n                    self._end",
        CLOCK,
    ),
    Defect(
        "a clock asks a hold that is not due again and again",
        "boxoffice/clock/holds.py",
        "self._ask_again(asked.key, passed_ms + max(AGAIN_MS, _due_ms(packed) - fact_at_ms))",
        "self._ask_again(asked.key, passed_ms)",
        CLOCK,
    ),
    Defect(
        "a clock that was early never asks again",
        "boxoffice/clock/holds.py",
        "                self._ask_again(asked.key, passed_ms + max(AGAIN_MS, _due_ms(packed) - fact_at_ms))\n",
        "                pass\n",
        CLOCK,
    ),
    Defect(
        "a clock gives a hold up whose request id was taken",
        "boxoffice/clock/holds.py",
        "            case Reason.REQUEST_ID_REUSED:\n",
        "            case Reason.EVENT_EXISTS:\n",
        CLOCK,
    ),
    Defect(
        "a clock asks under the same request id for ever",
        "boxoffice/clock/holds.py",
        '                self._ids[asked.key] = next_id(fact["request_id"])\n',
        "",
        CLOCK,
    ),
    Defect(
        "a clock asks again what waits in the log",
        "boxoffice/clock/holds.py",
        "            if asked.landed is None or asked.landed > self._bookmark:\n                return\n",
        "",
        CLOCK,
    ),
    Defect(
        "a question that was lost is never asked again",
        "boxoffice/clock/holds.py",
        "        self._ask_lost_again(passed_ms)\n",
        "",
        CLOCK,
    ),
    Defect(
        "a clock goes by its own time alone",
        "boxoffice/clock/holds.py",
        "max(now_ms, self._at_ms), most",
        "now_ms, most",
        CLOCK,
    ),
    Defect(
        "a clock's questions of two events under one id are one",
        "boxoffice/clock/holds.py",
        "        own = _key(event_id, request_id)\n        if own in self._asked:",
        '        own = _key("", request_id)\n        if own in self._asked:',
        CLOCK,
    ),
    Defect(
        "a clock goes on past a newer release's fact",
        "boxoffice/clock/holds.py",
        "            if follows:\n                self.newer_at = self.next_offset = offset\n",
        "",
        CLOCK,
    ),
    Defect(
        "a stranger's record of another release stops a clock",
        "boxoffice/clock/holds.py",
        "            if follows:\n                self.newer_at",
        "            if True:\n                self.newer_at",
        CLOCK,
    ),
    Defect(
        "a replaced owner's repeat makes a clock ask twice in a second",
        "boxoffice/clock/holds.py",
        "        if is_repeat:\n",
        "        if False:\n",
        CLOCK,
    ),
    Defect(
        "a clock begins behind holds that wait",
        "boxoffice/clock/holds.py",
        "        if oldest is None:\n"
        "            return ClockPlace(self.partition, *self._last) if self._last is not None else None\n",
        "        if self._last is not None:\n"
        "            return ClockPlace(self.partition, *self._last)\n"
        "        if oldest is None:\n"
        "            return None\n",
        CLOCK,
    ),
    Defect(
        "a clock believes a place of another ledger",
        "models/clock_places.py",
        '        return (fact["event_id"], fact["request_id"]) == (self.event_id, self.request_id)\n',
        "        return True\n",
        CLOCK,
    ),
    Defect(
        "a hold is asked about before its time",
        "boxoffice/clock/buckets.py",
        "        return -(-at_ms // self._width_ms)\n",
        "        return at_ms // self._width_ms\n",
        CLOCK,
    ),
    Defect(
        "a clock asks as fast as it can",
        "boxoffice/clock/pace.py",
        "        self._room -= count\n",
        "        pass\n",
        CLOCK,
    ),
    Defect(
        "a clock asks more than may be unanswered",
        "boxoffice/clock/expiring.py",
        "min(self._pace.room(monotonic()), self._settings.most_unanswered - holds.unanswered)",
        "self._pace.room(monotonic())",
        CLOCK_WORK,
    ),
    Defect(
        "what an event has sold counts in the metrics each time it changes",
        "boxoffice/statistics/measuring.py",
        "            self._sums(state)[of, state] -= amount\n",
        "            pass\n",
        MEASURING,
    ),
    Defect(
        "statistics wait for ever for a record where a marker lies",
        "boxoffice/statistics/stalls.py",
        "                recovery.active_offsets[tp] = recovery.active_highwaters[tp]\n",
        "                recovery.active_offsets[tp] = recovered\n",
        "tests/unit/test_statistics_stalls.py",
    ),
    # What operators are told
    Defect(
        "tickets that were given back are measured as sold",
        "models/statistics.py",
        "            self.sold -= tickets\n",
        "            pass\n",
        STATISTICS,
    ),
    Defect(
        "tickets whose hold has ended are measured as held",
        "models/statistics.py",
        "        else:\n            self.held -= tickets\n",
        "        else:\n            pass\n",
        STATISTICS,
    ),
    Defect(
        "held tickets that are given back are refunded",
        "models/statistics.py",
        'category.refunded += quantity * price if figure == "sold" else 0',
        "category.refunded += quantity * price",
        STATISTICS,
    ),
    Defect(
        "a paid hold is counted as held and as sold",
        "models/statistics.py",
        "category.held -= quantity if was_held else 0",
        "category.held -= 0",
        STATISTICS,
    ),
    Defect(
        "a refund is not taken from the revenue",
        "models/statistics_rows.py",
        "return self.taken - self.refunded",
        "return self.taken",
        STATISTICS,
    ),
    Defect(
        "figures of an archived event stay in Redis",
        "boxoffice/statistics/redis_publishing.py",
        "is_kept = of_event is not None and not is_archived(of_event)",
        "is_kept = of_event is not None",
        PUBLISHING,
    ),
    Defect(
        "archived events are missed in Redis",
        "boxoffice/statistics/reading.py",
        'of["events"] - of.get("archived", 0) for of in found.totals',
        'of["events"] for of in found.totals',
        SUMS,
    ),
    Defect(
        "an event is shown as on sale before its time",
        "models/figures.py",
        "now_ms < moment_ms(on_sale_at)",
        "now_ms < moment_ms(on_sale_at) - 1",
        FIGURES,
    ),
    Defect(
        "the audit asks for figures that an earlier release does not tell",
        "boxoffice/audit/statistics_check.py",
        "return name in UNTOLD_BY_EARLIER",
        "return False",
        FIGURES,
    ),
    Defect(
        "a server that is gone is in no metric",
        "boxoffice/process/health.py",
        "set(server in self._outages.since_s)",
        "set(0)",
        "tests/unit/test_health_metrics.py",
    ),
    Defect(
        "an alert misses the first of what it counts",
        "docker/prometheus/rules/faults.yml",
        " unless boxoffice_dead_letters_total offset 1h) > 0\n",
        " offset 1h) < 0\n",
        ALERTS,
    ),
    Defect(
        "an upgrade is told as partitions that are refused",
        "docker/prometheus/rules/faults.yml",
        ' - sum(boxoffice_partitions{state="newer_release"}) > 0\n',
        " > 0\n",
        ALERTS,
    ),
    Defect(
        "who is told of Kafka is told of all that comes of it",
        "docker/alertmanager/alertmanager.yml",
        "BoxofficeAnswersLate|BoxofficeCommandsLate|BoxofficeUnaudited|",
        "BoxofficeUnaudited|",
        ALERTS,
    ),
    # Documents
    Defect(
        "a place is kept before the group has committed it",
        "boxoffice/documents/progress.py",
        "self._place is not None and self._place.offset <= committed",
        "self._place is not None and committed >= 0",
        PLACES,
    ),
    Defect(
        "a place is ahead of what was dealt with",
        "boxoffice/documents/progress.py",
        "Place(self._kept_from, self._facts - len(self._recent), self._moved",
        "Place(self.next_offset, self._facts - len(self._recent), self._moved",
        PLACES,
    ),
    Defect(
        "rows of different moments are a place",
        "models/places.py",
        "    if sum(seqs.values()) != row.facts:",
        "    if row.facts < 0:",
        PLACES,
    ),
    Defect(
        "a place that is written anew leaves the old one until then",
        "models/places.py",
        "        *([(own, None)] if place.anew else ()),\n",
        "",
        PLACES,
    ),
    Defect(
        "a forgotten group begins at the ledger's beginning",
        "boxoffice/documents/making.py",
        "    return kept.offset if kept is not None else begin",
        "    return begin",
        PLACES,
    ),
    Defect(
        "two purchases that differ in case alone share a name",
        "models/documents.py",
        '    told = f"{_CAPITALS}{capitals:x}" if capitals else ""',
        '    told = "" if capitals else ""',
        "tests/unit/test_documents.py",
    ),
    # Tickets that cannot be read
    Defect(
        "a box stands for a character and is no flaw",
        "boxoffice/rendering/typesetting.py",
        "                self.missing[char] = None\n",
        "                del self.missing\n                self.missing = {}\n",
        TYPEFACES,
    ),
    Defect(
        "an empty name is no flaw",
        "boxoffice/rendering/tickets.py",
        "    return rendered._replace(flaws=rendered.flaws + flaws) if flaws else rendered\n",
        "    return rendered\n",
        TYPEFACES,
    ),
    Defect(
        "Han characters are drawn as China does, wherever they stand",
        "boxoffice/rendering/faces.py",
        '    return {"ja": "JP", "ko": "KR"}.get(language, "CN")\n',
        '    return "CN"\n',
        TYPEFACES,
    ),
    Defect(
        "what a ticket lacks is not announced",
        "boxoffice/documents/making.py",
        "drawn.sha256, drawn.flaws, change)",
        "drawn.sha256, (), change)",
        FLAWED,
    ),
    Defect(
        "a ticket counts as flawed after its purchase was cancelled",
        "boxoffice/documents/flaws.py",
        "        if said.seq >= known.seq if known else said.flaws:\n",
        "        if said.flaws:\n",
        FLAWS,
    ),
    Defect(
        "an older announcement of flaws counts",
        "boxoffice/documents/flaws.py",
        "said.seq >= known.seq if known",
        "said.seq >= 0 if known",
        FLAWS,
    ),
    Defect(
        "the audit notes no flaws",
        "boxoffice/audit/papers.py",
        "            counts.flawed += is_said and _at(self._flawed, number)\n",
        "",
        FLAWED,
    ),
    Defect(
        "a name that shows nothing is taken from who types it",
        "boxoffice/kafka/asking.py",
        "        if not shows_something(getattr(command, member)):\n",
        "        if not getattr(command, member):\n",
        "tests/unit/test_names_shown.py",
    ),
    Defect(
        "prices have the decimals that people mostly write",
        "boxoffice/rendering/languages.py",
        "        pattern.frac_prec = (places, places)\n",
        "",
        LANGUAGES,
    ),
    # What a screen reader is told
    Defect(
        "the code has no description",
        "boxoffice/rendering/design.py",
        'add("Figure", alternative=self.words.code, area=area)',
        'add("Figure", area=area)',
        STRUCTURE,
    ),
    Defect(
        "contents belong to other elements than their own",
        "boxoffice/rendering/structure.py",
        "for owner in self._owners]",
        "for owner in reversed(self._owners)]",
        STRUCTURE,
    ),
    Defect(
        "ornaments are read out",
        "boxoffice/rendering/design.py",
        '        self.canvas.addLiteral("/Artifact BMC")\n',
        '        self.canvas.addLiteral("/P BMC")\n',
        STRUCTURE,
    ),
    Defect(
        "labels are as small as they were",
        "boxoffice/rendering/design.py",
        "_LABEL_SIZE: Final = 8.0\n",
        "_LABEL_SIZE: Final = 6.2\n",
        STRUCTURE,
    ),
    # Partitions without a leader
    Defect(
        "the others wait for a partition without a leader",
        "boxoffice/selling/publishing.py",
        "if any(self._producer.is_left_alone(*place) for place in places):",
        "if not places:",
        LEADERS,
    ),
    Defect(
        "what a partition forwards is given up together with nobody who waits for it",
        "boxoffice/selling/publishing.py",
        "places = [(self._ledger, number), *((self._requests, home) for home in homes[number])]",
        "places = [(self._ledger, number)]",
        LEADERS,
    ),
    Defect(
        "a partition is taken over again before what was given up has landed",
        "boxoffice/selling/publishing.py",
        "        return number in self._late\n",
        "        return False\n",
        LEADERS,
    ),
    Defect(
        "a partition that was given up never comes back",
        "boxoffice/selling/pipeline.py",
        "            consumer.release(TP(self._topic, number), taken[number].position)\n",
        "",
        LEADERS,
    ),
    Defect(
        "what was decided on a partition that was given up is published with what comes after",
        "boxoffice/selling/pipeline.py",
        "                if self._is_owned(of_batch):\n",
        "                if of_batch.number >= 0:\n",
        LEADERS,
    ),
    Defect(
        "who takes over asks all ledgers at once, with a leader or without",
        "boxoffice/selling/recovery.py",
        "            left_alone = await without_leader(consumer, [*ledgers.values(), *requests.values()])\n",
        "            left_alone: set[TopicPartition] = set()\n",
        LEADERS,
    ),
    Defect(
        "who looks behind the bookmarks waits for a partition without a leader",
        "boxoffice/selling/recovery.py",
        "            for tp in await without_leader(consumer, list(tps)):\n                del tps[tp]\n",
        "",
        LEADERS,
    ),
    Defect(
        "runs of a withdrawn partition are left on the queue",
        "boxoffice/batching/consumer.py",
        "            kept = [run for run in queue._queue if run.tp != tp]\n",
        "            kept = list(queue._queue)\n",
        BATCHES,
    ),
    Defect(
        "runs of a withdrawn partition are left in the batches that were taken",
        "boxoffice/batching/records.py",
        "        self.runs = [run for run in self.runs if run.tp != tp]\n",
        "",
        BATCHES,
    ),
    Defect(
        "what the fetcher had of a withdrawn partition is delivered",
        "boxoffice/batching/consumer.py",
        "if expected is None or tp in self._withdrawn:",
        "if expected is None:",
        BATCHES,
    ),
    Defect(
        "a released partition is read on from where the fetcher was",
        "boxoffice/batching/consumer.py",
        "            await self.seek(tp, offset)\n            if epoch",
        "            if epoch",
        BATCHES,
    ),
    # Money and figures
    Defect(
        "an amount without decimals is taken for cents",
        "models/money.py",
        'digits = (whole + part.ljust(places, "0")).lstrip("0")',
        'digits = (whole + part).lstrip("0")',
        MONEY,
    ),
    Defect(
        "decimals that a currency does not have are passed over",
        "models/money.py",
        "    if len(part) > places:\n",
        "    if len(part) > 9:\n",
        MONEY,
    ),
    Defect(
        "every currency is shown with two decimals",
        "models/money.py",
        "return CURRENCIES.get(currency, _UNKNOWN_DECIMALS)",
        "return _UNKNOWN_DECIMALS",
        MONEY,
    ),
    Defect(
        "free events have no revenue by Redis",
        "boxoffice/statistics/figures.py",
        "        total.update(one)\n",
        "        total += Counter(one)\n",
        SUMS,
    ),
    Defect(
        "the figures of some partitions are shown as those of all",
        "boxoffice/statistics/reading.py",
        "range(partitions or 0) if number not in told",
        "range(0) if number not in told",
        SUMS,
    ),
    # The codes on tickets
    Defect(
        "the seq is left out of what is signed",
        "models/codes.py",
        "    return SIGNED_PREFIX + _claim_bytes(claim)\n",
        "    return SIGNED_PREFIX + _claim_bytes(claim._replace(seq=1))\n",
        CODES,
    ),
    Defect(
        "a code is signed without the prefix that says what it is",
        "models/codes.py",
        "    return SIGNED_PREFIX + _claim_bytes(claim)\n",
        "    return _claim_bytes(claim)\n",
        CODES,
    ),
    Defect(
        "bytes behind the signature are passed over",
        "models/codes.py",
        "    signature = read.rest()\n",
        "    signature = read.rest()[:SIGNATURE_BYTES]\n",
        CODES,
    ),
    Defect(
        "a number in a code may be written longer than it needs to be",
        "models/codes.py",
        "if place and not group:",
        "if place < 0:",
        CODES,
    ),
    Defect(
        "a code may stand for a ticket that has another name",
        "models/codes.py",
        "or claim.ticket != ticket:",
        "or not claim.number:",
        CODES,
    ),
    Defect(
        "a code's signature is not looked at",
        "boxoffice/door/verifying.py",
        "    except InvalidSignature:\n        raise WrongSignatureError(claim) from None\n",
        "    except InvalidSignature:\n        pass\n",
        CODES,
    ),
    Defect(
        "codes by a revoked key are good",
        "boxoffice/door/verifying.py",
        "    if key.revoked_at is not None:\n",
        "    if key.revoked_at == key.created_at:\n",
        CODES,
    ),
    Defect(
        "a revoked key goes on signing",
        "boxoffice/door/keys.py",
        "return self.seed is not None and self.revoked_at is None",
        "return self.seed is not None",
        KEYS,
    ),
    Defect(
        "a revoked key keeps its seed",
        "boxoffice/door/keys.py",
        "revoked_at=now, seed=None)",
        "revoked_at=now)",
        KEYS,
    ),
    Defect(
        "the newest key signs whatever is drawn",
        "boxoffice/door/keys.py",
        "[key for key in signing if key.signs_from <= at]",
        "[key for key in signing if at]",
        KEYS,
    ),
    Defect(
        "the last key that signs can be revoked",
        "boxoffice/door/keys.py",
        "if revoked.signs and not any(",
        "if not revoked.signs and not any(",
        KEYS,
    ),
    Defect(
        "the public keys have the seeds in them",
        "boxoffice/door/keys.py",
        "return KeyRing(tuple(replace(key, seed=None) for key in self.keys))",
        "return KeyRing(tuple(replace(key) for key in self.keys))",
        KEYS,
    ),
    Defect(
        "a process that signs never looks at the ring again",
        "boxoffice/door/ring_file.py",
        "if version is None or version != self._read_of:",
        "if self._ring is None:",
        KEYS,
    ),
    Defect(
        "a cancelled buyer's code is as good as the new owner's",
        "boxoffice/door/holding.py",
        "    if cancelled_seq is None:\n",
        "    if cancelled_seq is None or sale.seq == claim.seq:\n",
        HOLDING,
    ),
    # The gateway: 201 and 409 from the ledger alone, 202 once the log holds it, and the truth otherwise
    Defect(
        "a command is accepted that Kafka has not acknowledged",
        "boxoffice/gateway/answers.py",
        "                waiter.end(Result(Outcome.UNKNOWN))\n",
        "                waiter.end(Result(Outcome.ACCEPTED))\n",
        GATEWAY,
    ),
    Defect(
        "a wait that is over is told as if nobody knew",
        "boxoffice/gateway/answers.py",
        "        waiter.end(Result(Outcome.UNKNOWN if waiter.is_followed else Outcome.ACCEPTED))\n",
        "        waiter.end(Result(Outcome.UNKNOWN))\n",
        ANSWERS,
    ),
    Defect(
        "whoever waits for an acknowledgement waits no longer than for his answer",
        "boxoffice/gateway/answers.py",
        "            elif waiter.overdue:\n                waiter.end(",
        "            elif waiter.landed is None:\n                waiter.end(",
        ANSWERS,
    ),
    Defect(
        "a batch that failed was not taken",
        "boxoffice/gateway/lanes.py",
        "Outcome.REFUSED if refused else Outcome.UNKNOWN",
        "Outcome.REFUSED",
        GATEWAY,
    ),
    Defect(
        "a batch that went out twice and was refused then was not taken",
        "boxoffice/gateway/lanes.py",
        "isinstance(error, NOT_TAKEN) and not sent.was_repeated",
        "isinstance(error, NOT_TAKEN)",
        GATEWAY,
    ),
    Defect(
        "a batch that was never handed over may have been taken for all anybody knows",
        "boxoffice/gateway/answers.py",
        "            self._end(waiter, Result(Outcome.REFUSED))\n",
        "            self._end(waiter, Result(Outcome.UNKNOWN))\n",
        FOLLOWER,
    ),
    Defect(
        "what has become of a purchase since is told as a new one",
        "boxoffice/gateway/answering.py",
        'Response(201 if b\'"request_id":"%b"\' % request_id.encode() in fact else 200',
        "Response(201 if fact else 200",
        ANSWERING,
    ),
    Defect(
        "a purchase that was paid for is still told as held",
        "boxoffice/gateway/lookup.py",
        'seq_of(remembered.fact) >= fact["seq"]',
        "seq_of(remembered.fact) >= 0",
        LOOKUP,
    ),
    Defect(
        "what a gateway remembers is older than what Redis has not caught up with",
        "boxoffice/gateway/lookup.py",
        'remembered if remembered is not None and seq_of(remembered.fact) >= fact["seq"] else _made(fact)',
        "_made(fact)",
        LOOKUP,
    ),
    Defect(
        "some tickets that were given back bring back the rest, when that is asked again",
        "boxoffice/gateway/recent.py",
        "seq_of(result.fact) > seq_of(sale.answer.fact)",
        "seq_of(result.fact) > 0",
        RECENT,
    ),
    Defect(
        "a ticket that is held has a page",
        "boxoffice/gateway/tickets.py",
        'if fact["type"] == "purchase_held" or fact.get("held"):',
        'if fact["type"] == "purchase_held" and fact.get("held"):',
        TICKETS,
    ),
    Defect(
        "a fact that nobody knows is told as a refusal without an outcome",
        "boxoffice/gateway/answering.py",
        'return Problem("outcome-unknown", "The answer',
        'return Problem("event-closed", "The answer',
        ANSWERING,
    ),
    # The gateway: the log is the store of keys, each caller's his own
    Defect(
        "a caller's id does not stand before his keys",
        "boxoffice/gateway/commands.py",
        '    return f"{caller_id}:{key}"\n',
        "    return key if caller_id else key\n",
        ORDERS,
    ),
    Defect(
        "a buyer cancels whatever he can name",
        "boxoffice/gateway/posting.py",
        "commands.request_id(caller.id, purchase_key(purchase))",
        "purchase_key(purchase)",
        ORDERS,
    ),
    Defect(
        "a body says which purchase is cancelled",
        "boxoffice/gateway/commands.py",
        '"event_id", "request_id", "purchase", "actor"})',
        '"event_id", "request_id", "actor"})',
        ORDERS,
    ),
    Defect(
        "a body says who has sent it",
        "boxoffice/gateway/commands.py",
        '"request_id", "purchase", "actor"})',
        '"request_id", "purchase"})',
        BODIES,
    ),
    Defect(
        "nobody can tell who has closed an event",
        "boxoffice/gateway/posting.py",
        '            said["actor"] = caller.id\n',
        "            said.clear()\n",
        POSTING,
    ),
    Defect(
        "members that do not go together are published",
        "boxoffice/gateway/commands.py",
        'fault = fault_of(found) if kind != "purchase" or "lines" in members else None',
        'fault = fault_of(found) if kind == "create_event" else None',
        BODIES,
    ),
    Defect(
        "a member that is null is refused at the front door",
        "boxoffice/gateway/commands.py",
        "    return without_nulls(members) if",
        "    return members if",
        BODIES,
    ),
    Defect(
        "a key that came twice is read as its first",
        "boxoffice/gateway/reader.py",
        "            if name in _ONCE:\n",
        "            if name == 'x':\n",
        READER,
    ),
    # The gateway: by partition and offset
    Defect(
        "a fact that overtakes its acknowledgement is lost",
        "boxoffice/gateway/answers.py",
        "        elif lane.on_their_way:\n",
        "        elif lane.on_their_way > 1:\n",
        GATEWAY,
    ),
    Defect(
        "a partition to which a batch is on its way is not read",
        "boxoffice/gateway/answers.py",
        "return bool(self.waiting) or self.on_their_way > 0",
        "return bool(self.waiting)",
        GATEWAY,
    ),
    Defect(
        "early facts are kept without a bound",
        "boxoffice/gateway/answers.py",
        "        if self._early >= EARLY_KEPT:\n",
        "        if self._early >= 100 * EARLY_KEPT:\n",
        ANSWERS,
    ),
    Defect(
        "early facts that were others' are kept for ever",
        "boxoffice/gateway/answers.py",
        "        else:\n            lane.early.clear()\n",
        "        else:\n            self._early += len(lane.early)\n",
        GATEWAY,
    ),
    Defect(
        "a fact goes to whoever waits at its offset, whatever it is about",
        "boxoffice/gateway/answers.py",
        "answer if waiter.claim in answer.fact else Result(Outcome.UNKNOWN)",
        "answer",
        ANSWERS,
    ),
    Defect(
        "a batch that lies somewhere begins before the first offset",
        "boxoffice/gateway/answers.py",
        "        if base_offset < 0:\n",
        "        if base_offset < -1:\n",
        ANSWERS,
    ),
    Defect(
        "a fact is found by the first offset that it accounts for",
        "boxoffice/gateway/following.py",
        "self._answers.read(partition, accounted[1],",
        "self._answers.read(partition, accounted[0],",
        GATEWAY,
    ),
    Defect(
        "a command that was forwarded is answered by that",
        "boxoffice/gateway/desk.py",
        "        if result.kind == FORWARDED and self.waits:\n",
        "        if result.kind == FORWARDED and not self.until_s:\n",
        GATEWAY,
    ),
    Defect(
        "a home that is not known is followed",
        "boxoffice/gateway/desk.py",
        "if home in range(self._partitions) and wait_s > 0",
        "if wait_s > 0",
        GATEWAY,
    ),
    Defect(
        "whoever waits behind the lost tail of a log is told that it holds his command",
        "boxoffice/gateway/answers.py",
        "        if base_offset < lane.end:\n",
        "        if base_offset < 0:\n            # Never.\n",
        ANSWERS,
    ),
    Defect(
        "a ledger that lost its tail is read no more",
        "boxoffice/gateway/following.py",
        "            self._lost.add(tp)\n",
        "            self._lost.discard(tp)\n",
        FOLLOWER,
    ),
    Defect(
        "a ledger partition that cannot be read holds up the others",
        "boxoffice/gateway/following.py",
        "            self._take(response, asked)\n",
        "            self._take(response, asked)\n            await asyncio.sleep(len(self._set_aside))\n",
        FOLLOWER,
    ),
    # The gateway: one batch in flight a partition, in order
    Defect(
        "two batches of a partition are in flight",
        "boxoffice/gateway/lanes.py",
        "        if waiter.partition not in self._flying:\n",
        "        if waiter.partition is not None:\n",
        GATEWAY,
    ),
    Defect(
        "batches of a partition leave in any order",
        "boxoffice/gateway/lanes.py",
        "self._gathered[partition].pop(0)",
        "self._gathered[partition].pop()",
        GATEWAY,
    ),
    Defect(
        "what waits behind a batch that failed stays",
        "boxoffice/gateway/lanes.py",
        ".waiters, outcome)\n        self._go_on(partition)\n",
        ".waiters, outcome)\n",
        FOLLOWER,
    ),
    Defect(
        "after a batch that was refused its partition takes nothing any more",
        "boxoffice/gateway/lanes.py",
        "        self._sender.begin_anew()\n",
        "",
        GATEWAY,
    ),
    Defect(
        "a producer that begins anew goes on counting",
        "boxoffice/gateway/sending.py",
        "        numbers._sequence_numbers.clear()\n",
        "",
        SENDING,
    ),
    Defect(
        "a batch without a leader is given up",
        "boxoffice/gateway/sending.py",
        "_batch_ttl = math.inf",
        "_batch_ttl = 30.0",
        SENDING,
    ),
    # The gateway: bounds
    Defect(
        "any number may wait",
        "boxoffice/gateway/admission.py",
        "if is_stuck or self.waiting.is_full():",
        "if is_stuck:",
        ORDERS,
    ),
    Defect(
        "one caller may take every place",
        "boxoffice/gateway/admission.py",
        "if self.waiting.is_full_of(caller.id):",
        "if self.waiting.is_full_of(str(is_stuck)):",
        ORDERS,
    ),
    Defect(
        "a partition that makes everybody wait takes more",
        "boxoffice/gateway/admission.py",
        "if is_stuck or self.waiting.is_full():",
        "if self.waiting.is_full():",
        ORDERS,
    ),
    Defect(
        "a caller who went away keeps his place",
        "boxoffice/gateway/posting.py",
        "        self._admission.waiting.end(caller.id)\n",
        "        if not asking.done.cancelled():\n            self._admission.waiting.end(caller.id)\n",
        ORDERS,
    ),
    Defect(
        "nobody's pace is kept",
        "boxoffice/gateway/limits.py",
        "        return owed_s\n",
        "        return 0.0\n",
        LIMITS,
    ),
    Defect(
        "a length is believed, and the body read",
        "boxoffice/gateway/reader.py",
        "        if length is not None and not _is_bounded(length):\n",
        "        if length == '' and not _is_bounded(length):\n",
        READER,
    ),
    Defect(
        "a body without a length has no bound",
        "boxoffice/gateway/reader.py",
        "        if self._body_bytes > MAX_COMMAND_BYTES:\n",
        "        if self._body_bytes < 0:\n",
        READER,
    ),
    Defect(
        "headers have no bound",
        "boxoffice/gateway/reader.py",
        "        if len(self._url) + sum(sizes) > MOST_HEADER_BYTES:\n",
        "        if len(self._url) < 0:\n",
        READER,
    ),
    Defect(
        "a header that never ends has no bound",
        "boxoffice/gateway/reader.py",
        "        if self.stage is not _BODY:\n",
        "        if self.stage is _BETWEEN:\n",
        READER,
    ),
    Defect(
        "a body behind an offer of another protocol is lost",
        "boxoffice/gateway/reader.py",
        "            return self._without_upgrade() + data[upgrade.args[0] :]\n",
        "            return data[upgrade.args[0] :]\n",
        READER,
    ),
    Defect(
        "what stands behind a chunked body is a header",
        "boxoffice/gateway/reader.py",
        "        parser, headers = self._parser, self._headers\n",
        "        parser, headers = self._parser, _headers(self._fields)\n",
        READER,
    ),
    Defect(
        "a request may hide behind a chunked body",
        "boxoffice/gateway/reader.py",
        '"transfer-encoding" in headers or not',
        "not",
        READER,
    ),
    Defect(
        "a body may come as slowly as it likes",
        "boxoffice/gateway/connections.py",
        "        if self.awaits_body:\n",
        "        if not self._hears:\n",
        CONNECTIONS,
    ),
    Defect(
        "two requests of a connection are answered at once",
        "boxoffice/gateway/connections.py",
        "if self._turn is not None or self._is_full or",
        "if self._is_full or",
        CONNECTIONS,
    ),
    Defect(
        "any number of requests may wait on a connection",
        "boxoffice/gateway/connections.py",
        "            self._hears = not is_last and len(self._turns) + (self._turn is not None) < MOST_AT_ONCE\n",
        "            self._hears = not is_last\n",
        CONNECTIONS,
    ),
    Defect(
        "who does not read is answered on",
        "boxoffice/gateway/connections.py",
        "if self._turn is not None or self._is_full or not self._turns:",
        "if self._turn is not None or not self._turns:",
        CONNECTIONS,
    ),
    Defect(
        "a refusal is lost, since what was sent is not read",
        "boxoffice/gateway/connections.py",
        "            self._transport.write_eof()\n",
        "            self._transport.close()\n",
        CONNECTIONS,
    ),
    Defect(
        "connections have no bound",
        "boxoffice/gateway/connections.py",
        "        elif len(self._open) > self._most:\n",
        "        elif not self._most:\n",
        CONNECTIONS,
    ),
    # The gateway: beginning and ending
    Defect(
        "an instance that ends takes more",
        "boxoffice/gateway/admission.py",
        "        if self.draining:\n",
        "        if self.draining and is_stuck:\n",
        ORDERS,
    ),
    Defect(
        "what has not left when the process ends leaves yet",
        "boxoffice/gateway/lanes.py",
        "                self._answers.stayed(batch.waiters)\n            batches.clear()\n",
        "                self._answers.stayed(batch.waiters)\n",
        FOLLOWER,
    ),
    Defect(
        "a process that ends takes commands, and nobody hears of them",
        "boxoffice/gateway/lanes.py",
        "        if self._closed:\n",
        "        if self._closed and not value:\n",
        FOLLOWER,
    ),
    # Certificates, and who may do what on the servers
    Defect(
        "a certificate is read once",
        "boxoffice/securing/rereading.py",
        "        if self._made is not None and stamps == self._stamps:\n",
        "        if self._made is not None:\n",
        REREADING,
    ),
    Defect(
        "half a certificate ends who connects",
        "boxoffice/securing/rereading.py",
        "            if self._made is None:\n                raise\n",
        "            raise\n",
        REREADING,
    ),
    Defect(
        "a broker lets in whoever says that it is one",
        "boxoffice/embedded/cluster.py",
        '            f"listener.name.{BROKERS.lower()}.ssl.client.auth": "required",\n',
        "",
        SECURITY,
    ),
    Defect(
        "the page that everybody sees may write the ledger",
        "boxoffice/kafka/access.py",
        'shows events, and operators how all is",\n        reads=_BUT_ROWS,\n',
        'shows events, and operators how all is",\n        reads=_BUT_ROWS,\n        writes=(_LEDGER,),\n',
        ACCESS,
    ),
    Defect(
        "who draws tickets may read all of an event in Redis",
        "boxoffice/redis/access.py",
        "        reads=(_meta,),\n",
        "        reads=(_events,),\n",
        ACCESS,
    ),
    Defect(
        "a topic that may not be seen is missing",
        "boxoffice/kafka/topics.py",
        "    return error_code == TopicAuthorizationFailedError.errno\n",
        "    return not error_code\n",
        ACCESS,
    ),
    # The gateway: who may do what
    Defect(
        "whoever may buy may end a sale",
        "boxoffice/gateway/posting.py",
        '"events", "close_event"',
        '"buy", "close_event"',
        ORDERS,
    ),
    Defect(
        "a key for one event is good for all",
        "boxoffice/gateway/posting.py",
        "if not caller.may(scope, event_id):",
        "if not caller.may(scope):",
        ORDERS,
    ),
    Defect(
        "a caller's private headers reach the log",
        "boxoffice/gateway/posting.py",
        "        headers.append((TRACE_HEADER, trace.encode()))\n",
        "        headers.append((TRACE_HEADER, trace.encode()))\n"
        '        headers.append(("boxoffice-origin", (request.header("boxoffice-origin") or "").encode()))\n',
        ORDERS,
    ),
    Defect(
        "a revoked key goes on",
        "boxoffice/gateway/callers.py",
        "            self._by_digest.pop(secret.sha256, None)\n",
        "            self._by_digest.get(secret.sha256)\n",
        ORDERS,
    ),
    Defect(
        "a key that has expired is good",
        "boxoffice/gateway/callers.py",
        " or valid.until_s <= now_s:",
        ":",
        CALLERS,
    ),
    Defect(
        "a damaged record leaves a caller his key",
        "boxoffice/gateway/callers.py",
        "            self._forget(record_key)\n            return\n        self._forget(record_key)\n",
        "            return\n        self._forget(record_key)\n",
        CALLERS,
    ),
    Defect(
        "a caller says without a bound what is traced",
        "boxoffice/tracing/spans.py",
        "        if not self._rate.take():\n            metrics",
        "        if not header:\n            metrics",
        TRACING,
    ),
    Defect(
        "a fault in tracing ends the worker",
        "boxoffice/tracing/harmless.py",
        "    except Exception as error:",
        "    except ValueError as error:",
        TRACED_SALES,
    ),
    Defect(
        "a fact's header names its own span",
        "boxoffice/selling/deciding.py",
        "        return Answer(fact, first, position.offset, trace, Applied(fact, position.offset, effect))\n",
        '        own = b"%b-%d" % (trace, position.offset) if trace is not None else None\n'
        "        return Answer(fact, first, position.offset, own, Applied(fact, position.offset, effect))\n",
        TRACED_SALES,
    ),
    Defect(
        "a document stands beside its fact",
        "boxoffice/tracing/spans.py",
        '        digest.update(f"{ce_source(fact)}/{ce_id(fact)}".encode())\n',
        "        digest.update(_IDS.generate_span_id().to_bytes(8))\n",
        TRACING,
    ),
    Defect(
        "who has no key uses up the traces of others",
        "boxoffice/gateway/posting.py",
        "        caller = self._admission.caller(request)\n        yield None\n        key = idempotency_key",
        "        if self._tracing is not None:\n            self._tracing.begin(None)\n"
        "        caller = self._admission.caller(request)\n        yield None\n        key = idempotency_key",
        TRACED,
    ),
    Defect(
        "spans wait without a bound",
        "boxoffice/tracing/exporting.py",
        "        if self._handed - self._exporter.taken >= self._most:\n",
        "        if self._handed - self._exporter.taken >= 10**9:\n",
        TRACING,
    ),
)
