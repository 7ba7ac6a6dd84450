"""The admin APIs that tools call, asked of real Kafka and of Lastword at once: the answers must be the same.

One node, PLAINTEXT, no authorizer. Where Lastword differs on purpose `differ` names both codes, and
docs/differences.md the reason.
"""

from harness.case import case, check, equal
from harness.probe import ZERO_ID, Prober, masked, without_messages
from harness.wire import wait_for_leader

TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3
SETTINGS = {"node.id": 1, "num.partitions": 3, "log.retention.hours": 48, "log.cleaner.threads": 1,
            "offsets.topic.num.partitions": 4, "transaction.state.log.num.partitions": 4}
UNSUPPORTED_VERSION, INVALID_REQUEST = 35, 42


def both_brokers(context) -> Prober:
    kafka = context.start_broker(dict(SETTINGS), target="kafka")
    return Prober(context, kafka, context.start_broker(dict(SETTINGS)))


# Requests.

def describe(*resources, synonyms=True, documentation=True, version=4) -> dict:
    """Resources are (type, name) or (type, name, keys)."""
    request = {"resources": [{"resourceType": r[0], "resourceName": r[1],
                              "configurationKeys": list(r[2]) if len(r) > 2 else None} for r in resources],
               "includeSynonyms": synonyms}
    return {**request, "includeDocumentation": documentation} if version >= 3 else request


def alter(*resources, validate_only=False) -> dict:
    """Resources are (type, name, [(config, operation, value)])."""
    return {"resources": [{"resourceType": kind, "resourceName": name, "configs": [
        {"name": n, "configOperation": operation, "value": value} for n, operation, value in configs]}
        for kind, name, configs in resources], "validateOnly": validate_only}


def replace(kind, name, configs: dict, validate_only=False) -> dict:
    return {"resources": [{"resourceType": kind, "resourceName": name, "configs": [
        {"name": n, "value": v} for n, v in configs.items()]}], "validateOnly": validate_only}


def topic(name, partitions=1, replicas=1, assignments=None, configs=None) -> dict:
    return {"name": name, "numPartitions": partitions, "replicationFactor": replicas,
            "assignments": [{"partitionIndex": p, "brokerIds": b} for p, b in (assignments or [])],
            "configs": [{"name": n, "value": v} for n, v in (configs or {}).items()]}


def create(*topics, validate_only=False) -> dict:
    return {"topics": list(topics), "timeoutMs": 30_000, "validateOnly": validate_only}


def grow(name, count, assignments=None, validate_only=False) -> dict:
    wanted = None if assignments is None else [{"brokerIds": b} for b in assignments]
    return {"topics": [{"name": name, "count": count, "assignments": wanted}], "timeoutMs": 30_000,
            "validateOnly": validate_only}


# Shapes: what of an answer is compared.

def sorted_by(key: str, name: str):
    """An array in the order of names: Kafka's order is that of a hash."""
    return lambda answer: {**answer, key: sorted(answer[key] or [], key=lambda item: item[name])} \
        if key in answer else answer


def created(answer):
    """Without the configs, which are those of DescribeConfigs."""
    return {**answer, "topics": [{k: v for k, v in one.items() if k != "configs"} for one in answer["topics"]]}


def quorum(answer):
    """Without the epoch of the leader, which counts Kafka's starts."""
    if isinstance(answer, dict):
        return {k: quorum(v) for k, v in answer.items() if k != "leaderEpoch"}
    return [quorum(item) for item in answer] if isinstance(answer, list) else answer


def log_dirs(answer):
    return {**answer, "results": [{**one, "topics": sorted(one["topics"], key=lambda t: t["name"])}
                                  for one in answer["results"]]} if "results" in answer else answer


# What is asked.

def acls(ask: Prober) -> None:
    filters = {"resourceTypeFilter": 1, "resourceNameFilter": None, "patternTypeFilter": 1, "principalFilter": None,
               "hostFilter": None, "operation": 1, "permissionType": 1}
    acl = {"resourceType": 2, "resourceName": "t", "resourcePatternType": 3, "principal": "User:a", "host": "*",
           "operation": 3, "permissionType": 3}
    for version in 1, 2, 3:
        ask.once("all ACLs", "DescribeAcls", version, filters)
        ask.once("two new ACLs", "CreateAcls", version, {"creations": [acl, acl]})
        ask.once("no new ACL", "CreateAcls", version, {"creations": []})
        ask.once("ACLs deleted by two filters", "DeleteAcls", version, {"filters": [filters, filters]})


def scram(ask: Prober) -> None:
    def deletion(name, mechanism=1):
        return {"name": name, "mechanism": mechanism}

    def upsertion(name, mechanism=1, iterations=8192):
        return {"name": name, "mechanism": mechanism, "iterations": iterations, "salt": "c2FsdA==",
                "saltedPassword": "cGFzcw=="}

    def users(*names):
        return {"users": [{"name": name} for name in names]}

    def change(deletions=(), upsertions=()):
        return {"deletions": list(deletions), "upsertions": list(upsertions)}

    kind, by_user = "DescribeUserScramCredentials", sorted_by("results", "user")
    ask.once("every SCRAM user", kind, 0, {"users": None})
    ask.once("no SCRAM user named", kind, 0, users())
    ask.once("unknown SCRAM users", kind, 0, users("nobody", "none"), by_user)
    ask.once("a SCRAM user named twice", kind, 0, users("twice", "twice"), by_user)
    ask.once("a SCRAM user without a name", kind, 0, users(""), by_user)
    kind = "AlterUserScramCredentials"
    ask.once("SCRAM: nothing", kind, 0, change())
    ask.once("SCRAM: a deletion of nobody", kind, 0, change([deletion("nobody")]))
    ask.once("SCRAM: a deletion with an unknown mechanism", kind, 0, change([deletion("nobody", 9)]))
    ask.once("SCRAM: two changes of one user", kind, 0, change([deletion("a")], [upsertion("a")]))
    ask.once("SCRAM: an upsertion with an unknown mechanism", kind, 0, change([], [upsertion("a", 0)]))
    ask.once("SCRAM: too few iterations", kind, 0, change([], [upsertion("a", 1, 10)]))
    ask.once("SCRAM: too many iterations", kind, 0, change([], [upsertion("a", 1, 1 << 20)]))
    ask.once("SCRAM: no name", kind, 0, change([deletion("")], [upsertion("")]))
    ask.differ("SCRAM: a new user", kind, 0, change([], [upsertion("alice")]), [0], [UNSUPPORTED_VERSION])
    ask.ask(ask.kafka, kind, 0, change([deletion("alice")]))


def quotas(ask: Prober) -> None:
    def filters(*components, strict=False):
        return {"components": [{"entityType": t, "matchType": m, "match": name} for t, m, name in components],
                "strict": strict}

    def change(*entries, validate_only=False):
        return {"entries": [{"entity": [{"entityType": t, "entityName": n} for t, n in entity],
                             "ops": [{"key": k, "value": v, "remove": v < 0} for k, v in ops]}
                            for entity, ops in entries], "validateOnly": validate_only}

    kind = "DescribeClientQuotas"
    for version in 0, 1:
        ask.once("every quota", kind, version, filters())
        ask.once("every quota, strictly", kind, version, filters(strict=True))
        ask.once("quotas of a user", kind, version, filters(("user", 0, "alice")))
    ask.once("the default quota", kind, 1, filters(("client-id", 1, None), strict=True))
    ask.once("quotas of any address", kind, 1, filters(("ip", 2, None)))
    ask.once("quotas of an unknown kind of entity", kind, 1, filters(("planet", 2, None)))
    ask.once("quotas with an unknown kind of match", kind, 1, filters(("user", 7, None)))
    ask.once("quotas with a kind twice", kind, 1, filters(("user", 2, None), ("user", 1, None)))
    ask.once("quotas of user and address", kind, 1, filters(("user", 2, None), ("ip", 2, None)))
    ask.once("quotas of an entity without a kind", kind, 1, filters(("", 2, None)))
    ask.once("quotas of a user without a name", kind, 1, filters(("user", 0, None)))
    ask.once("the default quota with a name", kind, 1, filters(("user", 1, "alice")))
    kind, user, rate = "AlterClientQuotas", [("user", "alice")], "producer_byte_rate"
    wrong = {
        "no entity": ([], [(rate, 1.0)]),
        "an unknown kind of entity": ([("planet", "x")], [(rate, 1.0)]),
        "a user without a name": ([("user", "")], [(rate, 1.0)]),
        "user and address": ([("user", "a"), ("ip", "127.0.0.1")], [(rate, 1.0)]),
        "an unknown key": (user, [("beauty", 1.0)]),
        "a key of addresses for a user": (user, [("connection_creation_rate", 1.0)]),
        "a quota of zero": (user, [(rate, 0.0)]),
        "half a byte": (user, [(rate, 1.5)]),
        "a key twice": (user, [(rate, 1.0), (rate, 2.0)]),
    }
    for version in 0, 1:
        for what, entry in wrong.items():
            ask.once(f"quotas: {what}", kind, version, change(entry))
        ask.once("quotas: nothing to remove", kind, version, change((user, [(rate, -1.0)])))
        ask.once("quotas: no entry", kind, version, change())
        ask.once("quotas: an entry without a change", kind, version, change((user, [])))
    ask.differ("quotas: a new one, validated", kind, 1, change((user, [(rate, 1e6)]), validate_only=True), [0],
               [UNSUPPORTED_VERSION])
    ask.differ("quotas: a new one", kind, 1, change((user, [(rate, 1e6)])), [0], [UNSUPPORTED_VERSION])
    ask.ask(ask.kafka, kind, 1, change((user, [(rate, -1.0)])))


def tokens(ask: Prober) -> None:
    for version in 1, 2, 3:
        owner = {"ownerPrincipalType": "", "ownerPrincipalName": ""} if version == 3 else {}
        ask.once("a token", "CreateDelegationToken", version, {**owner, "renewers": [], "maxLifetimeMs": -1})
        ask.once("the tokens", "DescribeDelegationToken", version, {"owners": None})
        ask.once("no token", "DescribeDelegationToken", version, {"owners": []})
    for version in 1, 2:
        ask.once("a renewal", "RenewDelegationToken", version, {"hmac": "aGk=", "renewPeriodMs": 1})
        ask.once("an end", "ExpireDelegationToken", version, {"hmac": "aGk=", "expiryTimePeriodMs": 1})


def cluster(ask: Prober) -> None:
    for version in 0, 1, 2:
        for endpoint in (0, 1, 2, 9) if version else (0,):
            request = {"includeClusterAuthorizedOperations": endpoint == 1}
            if version >= 1:
                request["endpointType"] = endpoint
            if version >= 2:
                request["includeFencedBrokers"] = True
            ask.once(f"the cluster, endpoint type {endpoint}", "DescribeCluster", version, request)
    log = {"topicName": "__cluster_metadata", "partitions": [{"partitionIndex": 0}]}
    for version in 0, 1, 2:
        ask.once("the quorum", "DescribeQuorum", version, {"topics": [log]}, quorum)
        ask.once("the quorum of nothing", "DescribeQuorum", version, {"topics": []}, quorum)
        ask.once("the quorum of another topic", "DescribeQuorum", version, {"topics": [
            {"topicName": "other", "partitions": [{"partitionIndex": 0}]}]}, quorum)
        ask.once("the quorum of another partition", "DescribeQuorum", version, {"topics": [
            {**log, "partitions": [{"partitionIndex": 7}]}]}, quorum)
    ask.once("unregister nobody", "UnregisterBroker", 0, {"brokerId": 77})
    for version in 0, 1, 2:
        def features(name, level, kind=1, validate_only=True):
            update = {"feature": name, "maxVersionLevel": level}
            update.update({"allowDowngrade": kind > 1} if version == 0 else {"upgradeType": kind})
            request = {"timeoutMs": 1000, "featureUpdates": [update]}
            return {**request, "validateOnly": validate_only} if version else request
        kind = "UpdateFeatures"
        ask.once("an unknown feature", kind, version, features("beauty", 1))
        ask.once("an unknown feature at 0", kind, version, features("beauty", 0))
        ask.once("a level that is too high", kind, version, features("metadata.version", 9999))
        ask.once("a negative level", kind, version, features("metadata.version", -1))
        if version:
            ask.once("an unknown kind of update", kind, version, features("metadata.version", 30, 9))
            ask.once("no update", kind, version, {"timeoutMs": 1000, "featureUpdates": [], "validateOnly": True})


def replicas(ask: Prober) -> None:
    ask.once("a topic", "CreateTopics", 7, create(topic("moved", 2)), created)
    ready(ask, "moved")

    def moved(name, index, target, change=True, version=1):
        request = {"timeoutMs": 10_000, "topics": [{"name": name, "partitions": [
            {"partitionIndex": index, "replicas": target}]}]}
        return {**request, "allowReplicationFactorChange": change} if version else request

    kind = "AlterPartitionReassignments"
    for version in 0, 1:
        ask.once("where it is", kind, version, moved("moved", 0, [1], version=version))
        ask.once("another broker", kind, version, moved("moved", 0, [2], version=version))
        ask.once("two brokers", kind, version, moved("moved", 0, [1, 2], version=version))
        ask.once("one broker twice", kind, version, moved("moved", 0, [1, 1], version=version))
        ask.once("nowhere", kind, version, moved("moved", 0, [], version=version))
        ask.once("a move that is not under way, cancelled", kind, version, moved("moved", 1, None, version=version))
        ask.once("an unknown partition", kind, version, moved("moved", 9, [1], version=version))
        ask.once("an unknown topic", kind, version, moved("unknown", 0, [1], version=version))
        ask.once("no topic", kind, version, {"timeoutMs": 1, "topics": [],
                                             **({"allowReplicationFactorChange": True} if version else {})})
    ask.once("more replicas where that is not allowed", kind, 1, moved("moved", 0, [1, 2], False))
    kind = "ListPartitionReassignments"
    ask.once("every move", kind, 0, {"timeoutMs": 1000, "topics": None})
    ask.once("moves of nothing", kind, 0, {"timeoutMs": 1000, "topics": []})
    ask.once("moves of a topic", kind, 0, {"timeoutMs": 1000, "topics": [
        {"name": "moved", "partitionIndexes": [0, 9]}, {"name": "unknown", "partitionIndexes": [0]}]})
    kind, by_topic = "ElectLeaders", sorted_by("replicaElectionResults", "topic")
    for version in 0, 1, 2:
        for election in (0, 1, 9) if version else (0,):
            def elect(topics):
                return {**({"electionType": election} if version else {}), "topicPartitions": topics, "timeoutMs": 9000}
            ask.once(f"election {election} everywhere", kind, version, elect(None), by_topic)
            ask.once(f"election {election} of nothing", kind, version, elect([]), by_topic)
            ask.once(f"election {election} of four", kind, version, elect([
                {"topic": "moved", "partitions": [0, 1, 9]}, {"topic": "unknown", "partitions": [0]}]), by_topic)
    kind = "AlterReplicaLogDirs"
    for version in 1, 2:
        for target in "/nowhere/at/all", "relative":
            ask.once(f"a move to {target}", kind, version, {"dirs": [{"path": target, "topics": [
                {"name": "moved", "partitions": [0, 9]}, {"name": "unknown", "partitions": [0]}]}]},
                sorted_by("results", "topicName"))
        ask.once("no move", kind, version, {"dirs": []})
        here = []
        for broker in ask.kafka, ask.lastword:
            path = ask.ask(broker, "DescribeLogDirs", 4, {"topics": []})["results"][0]["logDir"]
            answer = ask.ask(broker, kind, version, {"dirs": [{"path": path, "topics": [
                {"name": "moved", "partitions": [0, 9]}, {"name": "unknown", "partitions": [0]}]}]})
            here.append(sorted_by("results", "topicName")(answer))
        ask.compare(f"a move to where it is ({kind} v{version})", *here)
    kind = "DescribeLogDirs"
    for version in 1, 2, 3, 4, 5:
        ask.once("where everything is", kind, version, {"topics": None}, log_dirs)
        ask.once("where nothing is", kind, version, {"topics": []}, log_dirs)
        ask.once("where some partitions are", kind, version, {"topics": [
            {"topic": "moved", "partitions": [1, 9]}, {"topic": "unknown", "partitions": [0]}]}, log_dirs)


def topics(ask: Prober) -> None:
    kind, long = "CreateTopics", "x" * 250
    ask.once("a topic with a dot", kind, 7, create(topic("with.dot")), created)
    ready(ask, "with.dot")
    wrong = {
        "a name that collides": topic("with_dot"),
        "a name that is taken": topic("with.dot"),
        "no name": topic(""),
        "a name of 250 letters": topic(long),
        "a name with a slash": topic("a/b"),
        "two dots": topic(".."),
        "a topic of the broker": topic("__consumer_offsets"),
        "no partitions": topic("wrong", 0),
        "minus two partitions": topic("wrong", -2),
        "two replicas": topic("wrong", 1, 2),
        "no replica": topic("wrong", 1, 0),
        "minus two replicas": topic("wrong", 1, -2),
        "an assignment and a number of partitions": topic("wrong", 1, -1, [(0, [1])]),
        "an assignment and a replication factor": topic("wrong", -1, 1, [(0, [1])]),
        "an assignment to another broker": topic("wrong", -1, -1, [(0, [2])]),
        "an assignment to one broker twice": topic("wrong", -1, -1, [(0, [1, 1])]),
        "an assignment to nobody": topic("wrong", -1, -1, [(0, [])]),
        "assignments with a gap": topic("wrong", -1, -1, [(0, [1]), (2, [1])]),
        "assignments from 1": topic("wrong", -1, -1, [(1, [1])]),
        "assignments of different length": topic("wrong", -1, -1, [(0, [1]), (1, [1, 2])]),
        "an unknown config": topic("wrong", configs={"no.such.config": "1"}),
        "a value that is no number": topic("wrong", configs={"retention.ms": "long"}),
        "a value out of range": topic("wrong", configs={"min.cleanable.dirty.ratio": "1.5"}),
        "a value that is none of the names": topic("wrong", configs={"cleanup.policy": "burn"}),
        "a config without a value": topic("wrong", configs={"retention.ms": None}),
        "tiered storage": topic("wrong", configs={"remote.storage.enable": "true"}),
        "segments that are too small": topic("wrong", configs={"segment.bytes": "1000"}),
    }
    for version in range(2, 8):
        for what, one in wrong.items():
            if what == "a topic of the broker":
                continue
            for validate_only in True, False:
                ask.once(what, kind, version, create(one, validate_only=validate_only), created)
        ask.once("nothing", kind, version, create(), created)
        ask.once("a topic that is only asked about", kind, version, create(topic("asked", -1, -1), validate_only=True)
                 if version > 3 else create(topic("asked", 3, 1), validate_only=True), created)
    ask.once("the same topic with an upper case letter", kind, 7, create(topic("With.dot")), created)
    ask.once("defaults", kind, 7, create(topic("default", -1, -1)), created)
    ask.once("an assignment", kind, 7, create(topic("assigned", -1, -1, [(1, [1]), (0, [1])])), created)
    ask.once("two topics, one of them wrong", kind, 7, create(topic("right"), topic("wrong", 0)), created)
    for name in "default", "assigned", "right":
        ready(ask, name)
    ask.same("configs in the answer", kind, 7, create(topic("configured", configs={
        "cleanup.policy": "compact", "retention.ms": "1000"}), validate_only=True), created_configs, seconds=0)

    kind = "CreatePartitions"
    for version in 0, 1, 2, 3:
        ask.once("as many", kind, version, grow("right", 1))
        ask.once("fewer", kind, version, grow("default", 1))
        ask.once("no partitions", kind, version, grow("default", 0))
        ask.once("partitions of an unknown topic", kind, version, grow("unknown", 5))
        ask.once("too few assignments", kind, version, grow("right", 3, [[1]]))
        ask.once("too many assignments", kind, version, grow("right", 2, [[1], [1]]))
        ask.once("an assignment to another broker", kind, version, grow("right", 2, [[2]]))
        ask.once("an assignment to two brokers", kind, version, grow("right", 2, [[1, 2]]))
        ask.once("an assignment to nobody", kind, version, grow("right", 2, [[]]))
        ask.once("assignments, asked about", kind, version, grow("right", 3, [[1], [1]], True))
        twice = grow("right", 5)
        ask.once("a topic twice", kind, version, {**twice, "topics": twice["topics"] * 2})
    ask.once("two more with assignments", kind, 3, grow("right", 3, [[1], [1]]))

    kind, partitions = "DescribeTopicPartitions", sorted_by("topics", "name")
    names = ["assigned", "default", "right", "with.dot"]

    def page(limit=2000, cursor=None, of=names):
        at = None if cursor is None else {"topicName": cursor[0], "partitionIndex": cursor[1]}
        return {"topics": [{"name": n} for n in of], "responsePartitionLimit": limit, "cursor": at}

    ask.same("every partition", kind, 0, page(), partitions)
    ask.same("everything there is", kind, 0, page(of=[]), without_internal)
    for limit in 0, 1, 2, 3, 4, 6, 9:
        ask.once(f"{limit} partitions", kind, 0, page(limit))
        for cursor in ("assigned", 1), ("default", 0), ("default", 2), ("default", 9), ("gone", 0), ("zzz", 0), ("right", -1):
            ask.once(f"{limit} partitions from {cursor}", kind, 0, page(limit, cursor))
    ask.once("unknown topics", kind, 0, page(of=["unknown", "right", "none"]))
    ask.once("a topic twice", kind, 0, page(of=["right", "right"]))
    ask.once("a bad name", kind, 0, page(of=["a/b"]))

    kind = "DeleteRecords"
    for version in 0, 1, 2:
        def before(name, index, offset):
            return {"topics": [{"name": name, "partitions": [{"partitionIndex": index, "offset": offset}]}],
                    "timeoutMs": 10_000}
        ask.same("records of an empty log", kind, version, before("right", 0, 0))
        ask.once("everything", kind, version, before("right", 0, -1))
        ask.once("beyond the end", kind, version, before("right", 0, 5))
        ask.once("before minus two", kind, version, before("right", 0, -2))
        ask.once("an unknown partition", kind, version, before("right", 99, 0))
        ask.once("an unknown topic", kind, version, before("unknown", 0, 0))
        ask.once("no topic", kind, version, {"topics": [], "timeoutMs": 1})

    kind = "OffsetForLeaderEpoch"
    for version in 2, 3, 4:
        for epoch, current in (0, -1), (0, 0), (1, -1), (5, -1), (-1, -1), (0, 7), (0, -5):
            for name, index in ("right", 0), ("right", 99), ("unknown", 0):
                request = {"topics": [{"topic": name, "partitions": [
                    {"partition": index, "currentLeaderEpoch": current, "leaderEpoch": epoch}]}]}
                if version >= 3:
                    request["replicaId"] = -1
                ask.once(f"the end of epoch {epoch} of {name}-{index}, at {current}", kind, version, request)

    kind = "DeleteTopics"
    for version in range(1, 6):
        ask.once("an unknown topic", kind, version, {"topicNames": ["unknown"], "timeoutMs": 1000})
        ask.once("no topic", kind, version, {"topicNames": [], "timeoutMs": 1000})
        ask.once("a bad name", kind, version, {"topicNames": ["a/b", ""], "timeoutMs": 1000}, sorted_by("responses", "name"))
        ask.once("an unknown topic twice", kind, version, {"topicNames": ["unknown", "unknown"], "timeoutMs": 1000})

    def doomed(*which):
        return {"topics": [{"name": n, "topicId": i} for n, i in which], "timeoutMs": 10_000}

    ids = [topic_ids(ask, broker) for broker in (ask.kafka, ask.lastword)]
    ask.once("an unknown id", kind, 6, doomed((None, "4L6g3nShT-eMCtK--X86sw")))
    ask.once("neither name nor id", kind, 6, doomed((None, ZERO_ID)))
    ask.once("an unknown name", kind, 6, doomed(("unknown", ZERO_ID)))
    for what, which in {
            "name and id": lambda of: [("right", of["right"])],
            "one topic twice": lambda of: [("right", ZERO_ID), ("right", ZERO_ID)],
            "one topic by name and by id": lambda of: [("right", ZERO_ID), (None, of["right"])],
            "one by id, one by name": lambda of: [(None, of["assigned"]), ("default", ZERO_ID)]}.items():
        answers = [ask.ask(broker, kind, 6, doomed(*which(of))) for broker, of in zip((ask.kafka, ask.lastword), ids)]
        by_name = sorted_by("responses", "name")
        ask.compare(f"{what} ({kind} v6)", *(by_name(masked(without_messages(a))) for a in answers))
    ask.same("what is left", "Metadata", 12, {"topics": [{"topicId": ZERO_ID, "name": n} for n in names],
             "allowAutoTopicCreation": False, "includeTopicAuthorizedOperations": True}, sorted_by("topics", "name"))


def topic_ids(ask: Prober, broker) -> dict:
    answer = ask.ask(broker, "Metadata", 12, {"topics": None, "allowAutoTopicCreation": False,
                                              "includeTopicAuthorizedOperations": False})
    return {one["name"]: one["topicId"] for one in answer["topics"]}


def ready(ask: Prober, name: str) -> None:
    """Real Kafka answers a moment before its broker knows the topic."""
    for broker in ask.kafka, ask.lastword:
        wait_for_leader(broker.address, name, None, 10)


def without_internal(answer):
    return {**answer, "topics": sorted((t for t in answer["topics"] if not t["isInternal"]), key=lambda t: t["name"])}


def created_configs(answer):
    """The configs of a new topic, by name, without our own."""
    return {one["name"]: {c["name"]: c for c in one["configs"] if not c["name"].startswith("lastword.")
                          and c["name"] not in OTHER_DEFAULTS} for one in answer["topics"]}


# Configs with another default on purpose, or another value because the two are started differently. Kafka sets
# min.insync.replicas for all brokers itself when it formats a directory with eligible leader replicas. Two that can be
# set on a running Kafka are read at the start here.
OTHER_DEFAULTS = {
    "advertised.listeners", "broker.id", "listeners", "log.dir", "log.dirs", "max.connections",
    "max.connections.per.ip", "min.insync.replicas", "node.id", "group.coordinator.rebalance.protocols",
    "group.consumer.assignment.interval.ms", "transaction.partition.verification.enable",
}


def common(ask: Prober, kind: int, name: str) -> set[str]:
    """The configs that both brokers have."""
    answers = ask.both("DescribeConfigs", 4, describe((kind, name)))
    return set.intersection(*({c["name"] for c in a["results"][0]["configs"]} for a in answers))


def of_both(names: set[str]):
    """The configs of these names, by name."""
    def shape(answer):
        return {**answer, "results": [{**one, "configs": {
            c["name"]: c for c in one["configs"] if c["name"] in names}} for one in answer["results"]]}
    return shape


def configs(ask: Prober) -> None:
    ask.once("a topic", "CreateTopics", 7, create(topic("tuned", configs={
        "cleanup.policy": "compact", "min.cleanable.dirty.ratio": ".50", "retention.ms": "5000"})), created)
    ready(ask, "tuned")
    of_topic = common(ask, TOPIC, "tuned")
    ours_only = {c["name"] for c in ask.ask(ask.lastword, "DescribeConfigs", 4, describe((TOPIC, "tuned")))
                 ["results"][0]["configs"]} - of_topic
    of_topic -= OTHER_DEFAULTS
    equal(ours_only, {"lastword.compaction.rebatch", "lastword.fetch.view"}, "topic configs that Kafka has not")
    of_broker = common(ask, BROKER, "1") - OTHER_DEFAULTS
    ask.context.note(f"{len(of_topic)} topic configs and {len(of_broker)} broker configs compared")
    check(len(of_broker) > 60, f"only {len(of_broker)} broker configs are common")
    kind, both = "DescribeConfigs", of_both(of_topic | of_broker)
    for version in 1, 2, 3, 4:
        for synonyms in True, False:
            for documentation in (True, False) if version >= 3 else (False,):
                def asked(*resources):
                    return describe(*resources, synonyms=synonyms, documentation=documentation, version=version)
                ask.same("configs of a topic", kind, version, asked((TOPIC, "tuned")), both)
                ask.same("configs of the broker", kind, version, asked((BROKER, "1")), both)
        ask.once("configs by name", kind, version, describe(
            (TOPIC, "tuned", ["cleanup.policy", "no.such.config"]), (BROKER, "1", []), version=version), both)
    for name, resource in {
            "an unknown topic": (TOPIC, "unknown"), "a bad topic": (TOPIC, "a/b"), "no topic": (TOPIC, ""),
            "all brokers": (BROKER, ""), "another broker": (BROKER, "2"), "a broker with a name": (BROKER, "one"),
            "loggers of another broker": (BROKER_LOGGER, "2"), "loggers of nobody": (BROKER_LOGGER, ""),
            "a subscription": (CLIENT_METRICS, "some"), "a subscription without a name": (CLIENT_METRICS, ""),
            "a group without a name": (GROUP, ""), "an unknown kind": (0, "x"), "another unknown kind": (99, "x"),
    }.items():
        ask.once(f"configs of {name}", kind, 4, describe(resource), both)
    groups = of_both({"consumer.assignment.interval.ms", "consumer.heartbeat.interval.ms",
                      "consumer.session.timeout.ms"})
    ask.once("configs of a group", kind, 4, describe((GROUP, "some")), groups)

    kind, once = "IncrementalAlterConfigs", ask.once
    wrong = {
        "an unknown topic config": (TOPIC, "tuned", [("no.such.config", SET, "1")]),
        "a value that is no number": (TOPIC, "tuned", [("retention.ms", SET, "soon")]),
        "a value out of range": (TOPIC, "tuned", [("min.cleanable.dirty.ratio", SET, "2")]),
        "no value": (TOPIC, "tuned", [("retention.ms", SET, None)]),
        "a config twice": (TOPIC, "tuned", [("retention.ms", SET, "1"), ("retention.ms", DELETE, None)]),
        "an addition to what is no list": (TOPIC, "tuned", [("retention.ms", APPEND, "1")]),
        "an unknown topic": (TOPIC, "unknown", [("retention.ms", SET, "1")]),
        "a bad topic": (TOPIC, "a/b", [("retention.ms", SET, "1")]),
        "no topic": (TOPIC, "", [("retention.ms", SET, "1")]),
        "another broker": (BROKER, "2", [("log.retention.ms", SET, "1")]),
        "a broker with a name": (BROKER, "one", [("log.retention.ms", SET, "1")]),
        "a config of the start": (BROKER, "1", [("num.partitions", SET, "4")]),
        "a config of the start, for all": (BROKER, "", [("node.id", SET, "4")]),
        "hours": (BROKER, "1", [("log.retention.hours", SET, "4")]),
        "a broker value that is no number": (BROKER, "1", [("log.retention.ms", SET, "soon")]),
        "a broker value out of range": (BROKER, "", [("log.cleaner.threads", SET, "-1")]),
        "no broker value": (BROKER, "1", [("log.retention.ms", SET, None)]),
        "a broker addition to what is no list": (BROKER, "1", [("log.retention.ms", APPEND, "1")]),
        "an unknown kind": (0, "x", [("a", SET, "b")]),
        "another unknown kind": (99, "x", [("a", SET, "b")]),
        "a subscription without a name": (CLIENT_METRICS, "", [("interval.ms", SET, "1000")]),
        "an unknown config of a subscription": (CLIENT_METRICS, "some", [("beauty", SET, "1")]),
        "an interval that is too short": (CLIENT_METRICS, "some", [("interval.ms", SET, "1")]),
        "an interval that is no number": (CLIENT_METRICS, "some", [("interval.ms", SET, "soon")]),
        "a match that is none": (CLIENT_METRICS, "some", [("match", SET, "client_id")]),
        "a match on something unknown": (CLIENT_METRICS, "some", [("match", SET, "beauty=1")]),
        "a group without a name": (GROUP, "", [("consumer.session.timeout.ms", SET, "46000")]),
        "an unknown config of a group": (GROUP, "some", [("beauty", SET, "1")]),
        "a session that is no number": (GROUP, "some", [("consumer.session.timeout.ms", SET, "long")]),
        "a session that is too short": (GROUP, "some", [("consumer.session.timeout.ms", SET, "1")]),
        "a session that is too long": (GROUP, "some", [("consumer.session.timeout.ms", SET, "99999999")]),
        "a heartbeat that is too short": (GROUP, "some", [("consumer.heartbeat.interval.ms", SET, "1")]),
        "no config of a group": (GROUP, "some", [("consumer.session.timeout.ms", SET, None)]),
        "nothing": (TOPIC, "tuned", []),
    }
    for what, resource in wrong.items():
        for version in 0, 1:
            for validate_only in True, False:
                once(what, kind, version, alter(resource, validate_only=validate_only))
    ask.differ("an unknown operation", kind, 1, alter((TOPIC, "tuned", [("retention.ms", 9, "1")])), [-1],
               [INVALID_REQUEST])
    once("a resource twice", kind, 1, alter((TOPIC, "tuned", [("retention.ms", SET, "1")]),
                                            (TOPIC, "tuned", [("retention.bytes", SET, "1")])), by_resource)
    for what, (resource_type, name, settings) in {
            "an unknown topic config": (TOPIC, "tuned", {"no.such.config": "1"}),
            "a bad value": (TOPIC, "tuned", {"retention.ms": "soon"}), "no value": (TOPIC, "tuned", {"retention.ms": None}),
            "an unknown topic": (TOPIC, "unknown", {}), "no topic": (TOPIC, "", {}), "another broker": (BROKER, "2", {}),
            "a config of the start": (BROKER, "1", {"num.partitions": "4"}), "loggers": (BROKER_LOGGER, "1", {"root": "INFO"}),
            "an unknown config of a group": (GROUP, "some", {"beauty": "1"}),
            "a subscription without a name": (CLIENT_METRICS, "", {})}.items():
        for version in 0, 1, 2:
            for validate_only in True, False:
                once(f"replaced: {what}", "AlterConfigs", version, replace(resource_type, name, settings, validate_only))
    for name in "unknown.broker.config", "max.connection.creation.rate":
        ask.differ("a broker config that Lastword has not", kind, 1, alter((BROKER, "1", [(name, SET, "100")]),
                   validate_only=True), [0], [INVALID_REQUEST])

    def seen(what, *resources):
        ask.same(what, "DescribeConfigs", 4, describe(*resources), lambda a: groups(a) if resources[0][0] == GROUP else both(a))

    once("a dry run", kind, 1, alter((TOPIC, "tuned", [("retention.ms", SET, "7")]), (BROKER, "", [
        ("log.retention.ms", SET, "7")]), validate_only=True), by_resource)
    seen("after a dry run", (TOPIC, "tuned"), (BROKER, "1"), (BROKER, ""))
    once("a default of all brokers", kind, 1, alter((BROKER, "", [("log.retention.ms", SET, "86400000"), (
        "log.cleaner.backoff.ms", SET, "1000"), ("log.cleanup.policy", SET, "compact,delete")])))
    seen("a default of all brokers", (BROKER, ""), (BROKER, "1"), (TOPIC, "tuned"))
    once("a setting of the broker", kind, 1, alter((BROKER, "1", [("log.retention.ms", SET, "43200000"), (
        "log.cleaner.threads", SET, "2"), ("producer.id.expiration.ms", SET, "600000"), ("num.io.threads", SET, "9")])))
    seen("a setting of the broker", (BROKER, ""), (BROKER, "1"), (TOPIC, "tuned"))
    once("settings of the topic", kind, 1, alter((TOPIC, "tuned", [("retention.ms", DELETE, None), (
        "cleanup.policy", APPEND, "delete"), ("segment.ms", SET, "3600000"), ("flush.ms", SET, "1000")])))
    seen("settings of the topic", (TOPIC, "tuned"))
    once("an item that is there", kind, 1, alter((TOPIC, "tuned", [("cleanup.policy", APPEND, "compact,delete")])))
    seen("an item that is there", (TOPIC, "tuned"))
    once("an item less", kind, 1, alter((TOPIC, "tuned", [("cleanup.policy", SUBTRACT, "compact,nothing")])))
    seen("an item less", (TOPIC, "tuned"))
    once("a broker list", kind, 1, alter((BROKER, "", [("log.cleanup.policy", SUBTRACT, "compact")])))
    seen("a broker list", (BROKER, ""), (BROKER, "1"))
    once("replaced", "AlterConfigs", 2, replace(TOPIC, "tuned", {"segment.bytes": "2000000"}))
    seen("replaced", (TOPIC, "tuned"))
    once("replaced on the broker", "AlterConfigs", 2, replace(BROKER, "1", {"log.cleaner.threads": "1"}))
    once("replaced on all", "AlterConfigs", 2, replace(BROKER, "", {"min.insync.replicas": "1"}))
    seen("replaced on the broker", (BROKER, ""), (BROKER, "1"))
    once("taken back", kind, 1, alter((BROKER, "1", [("log.cleaner.threads", DELETE, None), (
        "num.io.threads", DELETE, None)])))
    seen("taken back", (BROKER, "1"))

    for version in 0, 1:
        resources(ask, version, "nothing set")
    once("a subscription", kind, 1, alter((CLIENT_METRICS, "some", [("metrics", SET, "org.apache,other"), (
        "interval.ms", SET, "5000"), ("match", SET, "client_id=a.*,client_software_name=b")])))
    once("a group", kind, 1, alter((GROUP, "some", [("consumer.session.timeout.ms", SET, "46000")])))
    ask.same("a subscription", "DescribeConfigs", 4, describe((CLIENT_METRICS, "some")), sorted_configs)
    seen("a group", (GROUP, "some"))
    for version in 0, 1:
        resources(ask, version, "something set")
    once("no subscription", kind, 1, alter((CLIENT_METRICS, "some", [(n, DELETE, None) for n in (
        "metrics", "interval.ms", "match")])))
    once("no group", "AlterConfigs", 2, replace(GROUP, "some", {}))
    seen("no group", (GROUP, "some"))
    for version in 0, 1:
        resources(ask, version, "nothing set any more")


def resources(ask: Prober, version: int, when: str) -> None:
    kinds = [[], [TOPIC], [BROKER], [BROKER_LOGGER], [CLIENT_METRICS], [GROUP], [GROUP, TOPIC], [1], [TOPIC, 99]]
    for asked in kinds if version else [[]]:
        request = {"resourceTypes": asked} if version else {}
        ask.same(f"resources of types {asked}, {when}", "ListConfigResources", version, request, by_type)


def by_type(answer):
    return {**answer, "configResources": sorted(
        ((r.get("resourceType", CLIENT_METRICS), r["resourceName"]) for r in answer["configResources"]
         if not r["resourceName"].startswith("__")), key=str)} if "configResources" in answer else answer


def by_resource(answer):
    return {**answer, "responses": sorted(answer["responses"], key=lambda r: (r["resourceType"], r["resourceName"]))}


def sorted_configs(answer):
    return {**answer, "results": [{**one, "configs": sorted(one["configs"], key=lambda c: c["name"])}
                                  for one in answer["results"]]}


# APIs that Kafka offers on a PLAINTEXT listener and Lastword does not; docs/differences.md has the reasons.
NOT_OFFERED = {
    17: "SaslHandshake", 36: "SaslAuthenticate",
    76: "ShareGroupHeartbeat", 77: "ShareGroupDescribe", 78: "ShareFetch", 79: "ShareAcknowledge",
    80: "AddRaftVoter", 81: "RemoveRaftVoter",
    83: "InitializeShareGroupState", 84: "ReadShareGroupState", 85: "WriteShareGroupState",
    86: "DeleteShareGroupState", 87: "ReadShareGroupStateSummary",
    88: "StreamsGroupHeartbeat", 89: "StreamsGroupDescribe",
    90: "DescribeShareGroupOffsets", 91: "AlterShareGroupOffsets", 92: "DeleteShareGroupOffsets",
}
# Where Lastword offers fewer versions.
OTHER_VERSIONS: dict[int, tuple] = {}


def versions(ask: Prober) -> None:
    tables = []
    for broker in ask.kafka, ask.lastword:
        with broker.connect() as connection:
            tables.append(connection.api_versions())
    kafka, ours = tables
    equal(sorted(kafka.keys() - ours.keys()), sorted(NOT_OFFERED), "APIs that only Kafka offers")
    equal(sorted(ours.keys() - kafka.keys()), [], "APIs that only Lastword offers")
    other = {key: (kafka[key], found) for key, found in ours.items() if kafka[key] != found}
    equal(other, OTHER_VERSIONS, "APIs with other versions")


@case("admin_surface", seconds=300, targets=("lastword",))
def admin_surface(context):
    ask = both_brokers(context)
    try:
        for part in versions, acls, scram, quotas, tokens, cluster, replicas, topics, configs:
            part(ask)
    finally:
        ask.close()
