"""The bank of cases/bank.py with confluent-kafka: bank.py write|read|watch|hang BOOTSTRAP ARGUMENT...

`write` is one of the three writers, `watch` takes snapshots while they write, `read` prints what one
reader sees, `hang` leaves a transaction open. What fails prints `FAILED: why` and ends with 1.
"""

import random
import sys
import threading
import time

from confluent_kafka import (
    OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition,
)

OPENING_SHARE = 1000
PATIENCE_SECONDS = 90
# No transfer has such an amount: a sum with it in is wrong.
NONSENSE = 1_000_000_007


class Failed(Exception):
    """What a scenario found wrong."""


def until_stdin_closes() -> threading.Event:
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    return ended


def account_name(number: int) -> str:
    return f"account-{number:02d}"


def snapshot(bootstrap: str, topic: str, partition: int, isolation: str, seconds: float) -> list:
    """Every record from the start to where the partition ends for such a reader: for a committed one
    that is the LastStableOffset."""
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
        "enable.partition.eof": True, "isolation.level": isolation, "auto.offset.reset": "error",
        "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "log_level": 0,
        # A fetch that waits is answered with the next record: while others write, the end would never be seen.
        "fetch.wait.max.ms": 0,
    })
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
    messages, end = [], time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            for message in consumer.consume(10_000, 0.05):
                problem = message.error()
                if problem is None:
                    messages.append(message)
                elif problem.code() == KafkaError._PARTITION_EOF:
                    return messages
                elif problem.code() == KafkaError._AUTO_OFFSET_RESET or problem.fatal():
                    raise Failed(f"{topic}-{partition}: {problem}")
        raise Failed(f"{topic}-{partition}: no end within {seconds} s, {len(messages)} records")
    finally:
        consumer.close()


def newest(messages: list) -> dict[str, list[str]]:
    """The last value of each account, in its parts: number, step, fate, share."""
    return {m.key().decode(): m.value().decode().split() for m in messages}


class Writer:
    def __init__(self, bootstrap: str, balances: str, ledger: str, writer: str, accounts: str,
                 seed: str, log: str):
        self.bootstrap, self.balances, self.ledger = bootstrap, balances, ledger
        self.writer, self.accounts = int(writer), int(accounts)
        self.draw = random.Random(int(seed))
        self.producer, self.shares, self.number = None, {}, 0
        # An earlier start may have left its numbers; they are taken up.
        self.log = open(log, "a+", buffering=1)
        self.log.seek(0)
        for line in self.log:
            parts = line.split()
            if len(parts) == 2:
                self.number = max(self.number, int(parts[1]))

    def run(self) -> None:
        ended, committed = until_stdin_closes(), False
        while not (ended.is_set() and committed):
            if self.producer is None:
                self.recover()
            one = self.draw.randrange(100)
            fate = "abort" if one < 20 else "abandon" if one < 24 else "commit"
            if ended.is_set():
                fate = "commit"
            try:
                self.transaction(fate)
                committed = fate == "commit"
                lost = fate == "abandon"
            except (KafkaException, Failed, BufferError):
                committed, lost = False, True
            if lost:
                # What became of it is read from the topic.
                self.producer = None

    def recover(self) -> None:
        """Fence whoever wrote before, which ends its transaction, and read where that left the shares."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                producer = Producer({
                    "bootstrap.servers": self.bootstrap, "transactional.id": f"bank-{self.writer}",
                    "transaction.timeout.ms": 15_000, "message.timeout.ms": 15_000,
                    "socket.timeout.ms": 5_000, "linger.ms": 0, "reconnect.backoff.ms": 20,
                    "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 20, "log_level": 0,
                })
                producer.init_transactions(15)
                messages = snapshot(self.bootstrap, self.balances, self.writer, "read_committed", 15)
                self.shares = {account: int(parts[3]) for account, parts in newest(messages).items()}
                self.producer = producer
                return
            except (KafkaException, Failed) as problem:
                if time.monotonic() > end:
                    raise Failed(f"no new start in {PATIENCE_SECONDS} s: {problem}") from None
                time.sleep(0.1)

    def transaction(self, fate: str) -> None:
        """One to four transfers between two accounts each; the first transaction opens all accounts."""
        self.number += 1
        self.note("begin")
        self.producer.begin_transaction()
        shares, step = dict(self.shares), 0
        if not shares:
            fate = "commit"
            for account in map(account_name, range(self.accounts)):
                shares[account] = OPENING_SHARE
                self.send_share(account, step, fate, OPENING_SHARE)
                step += 1
        for _ in range(self.draw.randint(1, 4)):
            giver, taker = map(account_name, self.draw.sample(range(self.accounts), 2))
            amount = self.draw.randint(1, 100)
            shares[giver] -= amount
            shares[taker] += amount
            wrong = 0 if fate == "commit" else NONSENSE
            # A batch for the giver, one for the taker: what is between is wrong.
            self.send_share(giver, step, fate, shares[giver])
            self.send(self.ledger, 0, str(self.writer),
                      f"{self.number} {step} {fate} {giver} {taker} {amount}")
            self.flush()
            self.send_share(taker, step, fate, shares[taker] + wrong)
            self.flush()
            step += 1
        if fate == "abandon":
            return
        if fate == "abort":
            self.producer.abort_transaction(20)
            self.note("aborted")
        else:
            self.producer.commit_transaction(20)
            self.shares = shares
            self.note("committed")

    def send_share(self, account: str, step: int, fate: str, share: int) -> None:
        self.send(self.balances, self.writer, account, f"{self.number} {step} {fate} {share}")

    def send(self, topic: str, partition: int, key: str, value: str) -> None:
        self.producer.produce(topic, value, key, partition=partition, on_delivery=self.delivered)

    @staticmethod
    def delivered(error, _) -> None:
        if error is not None:
            raise KafkaException(error)

    def flush(self) -> None:
        if self.producer.flush(20):
            raise Failed("records were not delivered in 20 s")

    def note(self, what: str) -> None:
        self.log.write(f"{what} {self.number}\n")


def watch(bootstrap: str, balances: str, ledger: str, writers: str, accounts: str) -> None:
    """Snapshots until stdin closes: each partition of the balances sums up to what was put in, or is empty, and
    nothing of a transaction that was not meant to be committed is ever seen. Prints a line for each that had
    something in it: `snapshot COMMITTED UNCOMMITTED`, the numbers of records seen."""
    ended, whole = until_stdin_closes(), 0
    wanted = int(accounts) * OPENING_SHARE
    last = {}
    while not ended.is_set():
        for writer in range(int(writers)):
            try:
                messages = snapshot(bootstrap, balances, writer, "read_committed", 60)
                more = snapshot(bootstrap, balances, writer, "read_uncommitted", 60)
            except KafkaException:
                continue
            check_fates(messages, f"balances-{writer}")
            found = newest(messages)
            total = sum(int(parts[3]) for parts in found.values())
            if total != (wanted if found else 0):
                raise Failed(f"snapshot {whole}: balances-{writer} below the LastStableOffset holds {total} in "
                             f"{len(found)} accounts, wanted {wanted}: {found}")
            number = max((int(parts[0]) for parts in found.values()), default=0)
            if number < last.get(writer, 0):
                raise Failed(f"balances-{writer} fell back from transaction {last[writer]} to {number}")
            last[writer] = number
            if found:
                whole += 1
                print("snapshot", len(messages), len(more), flush=True)
        try:
            check_fates(snapshot(bootstrap, ledger, 0, "read_committed", 60), "ledger-0")
        except KafkaException:
            continue


def check_fates(messages: list, where: str) -> None:
    wrong = [m for m in messages if m.value().split()[2] != b"commit"]
    if wrong:
        raise Failed(f"a committed read of {where} shows {len(wrong)} records that were never to be committed, "
                     f"first {wrong[0].value().decode()} at offset {wrong[0].offset()}")


def read(bootstrap: str, balances: str, ledger: str, writers: str, isolation: str) -> None:
    """Lines, sorted: `share WRITER ACCOUNT VALUE`, the newest of each account; `transfer WRITER VALUE`;
    then `records COUNT`."""
    lines, records = [], 0
    for writer in range(int(writers)):
        messages = snapshot(bootstrap, balances, writer, f"read_{isolation}", 60)
        records += len(messages)
        lines += [f"share {writer} {account} {' '.join(parts)}"
                  for account, parts in newest(messages).items()]
    messages = snapshot(bootstrap, ledger, 0, f"read_{isolation}", 60)
    lines += [f"transfer {m.key().decode()} {m.value().decode()}" for m in messages]
    print("\n".join(sorted(lines)))
    print("records", records + len(messages))


def hang(bootstrap: str, balances: str, ledger: str, writers: str) -> None:
    """A transaction with nonsense in every partition, left open until stdin closes, then aborted."""
    ended = until_stdin_closes()
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "bank-hang",
                         "transaction.timeout.ms": 300_000, "socket.timeout.ms": 5_000, "log_level": 0,
                         "reconnect.backoff.max.ms": 200})
    producer.init_transactions(30)
    producer.begin_transaction()
    for writer in range(int(writers)):
        for number in range(10):
            producer.produce(balances, f"0 {number} hang {NONSENSE}", account_name(number), partition=writer)
    for number in range(10):
        producer.produce(ledger, f"0 {number} hang {account_name(0)} {account_name(1)} {NONSENSE}", "hang",
                         partition=0)
    if producer.flush(30):
        raise Failed("the open transaction was not written")
    print("open", flush=True)
    ended.wait()
    producer.abort_transaction(60)


SCENARIOS = {"write": lambda *a: Writer(*a).run(), "watch": watch, "read": read, "hang": hang}

if __name__ == "__main__":
    try:
        SCENARIOS[sys.argv[1]](*sys.argv[2:])
    except Exception as problem:
        why = str(problem) if isinstance(problem, Failed) else f"{type(problem).__name__}: {problem}"
        print("FAILED: " + " ".join(why.split()))
        sys.exit(1)
