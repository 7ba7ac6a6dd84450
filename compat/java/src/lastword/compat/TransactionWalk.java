package lastword.compat;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.ToIntFunction;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.message.AddOffsetsToTxnRequestData;
import org.apache.kafka.common.message.AddOffsetsToTxnResponseData;
import org.apache.kafka.common.message.AddPartitionsToTxnRequestData;
import org.apache.kafka.common.message.AddPartitionsToTxnRequestData.AddPartitionsToTxnTopic;
import org.apache.kafka.common.message.AddPartitionsToTxnRequestData.AddPartitionsToTxnTopicCollection;
import org.apache.kafka.common.message.AddPartitionsToTxnRequestData.AddPartitionsToTxnTransaction;
import org.apache.kafka.common.message.AddPartitionsToTxnRequestData.AddPartitionsToTxnTransactionCollection;
import org.apache.kafka.common.message.AddPartitionsToTxnResponseData;
import org.apache.kafka.common.message.AddPartitionsToTxnResponseData.AddPartitionsToTxnTopicResultCollection;
import org.apache.kafka.common.message.DescribeProducersRequestData;
import org.apache.kafka.common.message.DescribeProducersResponseData;
import org.apache.kafka.common.message.DescribeTransactionsRequestData;
import org.apache.kafka.common.message.DescribeTransactionsResponseData;
import org.apache.kafka.common.message.EndTxnRequestData;
import org.apache.kafka.common.message.EndTxnResponseData;
import org.apache.kafka.common.message.FetchRequestData;
import org.apache.kafka.common.message.FetchResponseData;
import org.apache.kafka.common.message.FindCoordinatorRequestData;
import org.apache.kafka.common.message.FindCoordinatorResponseData;
import org.apache.kafka.common.message.InitProducerIdRequestData;
import org.apache.kafka.common.message.InitProducerIdResponseData;
import org.apache.kafka.common.message.ListTransactionsRequestData;
import org.apache.kafka.common.message.ListTransactionsResponseData;
import org.apache.kafka.common.message.OffsetFetchRequestData;
import org.apache.kafka.common.message.OffsetFetchResponseData;
import org.apache.kafka.common.message.ProduceRequestData;
import org.apache.kafka.common.message.ProduceResponseData;
import org.apache.kafka.common.message.TxnOffsetCommitRequestData;
import org.apache.kafka.common.message.TxnOffsetCommitResponseData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.Records;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.requests.RequestUtils;

/**
 * A random walk through the APIs of transactions: requests of every version, one after the other, of right and wrong
 * producers. What the broker answers, and what can be seen afterwards, is printed with producer ids replaced by the
 * order in which they appeared, so that the walks of two brokers can be compared line by line.
 */
final class TransactionWalk {
    private static final int IDS = 3;
    private static final int PARTITIONS = 3;

    /** A producer: the number of its producer id, or a negative one that is nobody's, and its epoch. */
    private record Who(int id, short epoch) {
        @Override
        public String toString() {
            return (id < 0 ? "" : "p") + id + "/" + epoch;
        }
    }

    private final Random random;
    private final DataInputStream in;
    private final DataOutputStream out;
    private final String topic;
    private final String prefix;
    private final Map<Long, Integer> numbers = new LinkedHashMap<>();
    private final List<Long> producerIds = new ArrayList<>();
    /** The producers that each transactional id was given. */
    private final Map<Integer, List<Who>> given = new HashMap<>();
    private final Map<String, Integer> sequences = new HashMap<>();
    /** The epoch of each transactional id, as it was described last. */
    private final Map<Integer, Short> epochs = new HashMap<>();
    private final Set<Integer> endedWithoutBump = new HashSet<>();
    private int correlation;

    private TransactionWalk(Socket socket, long seed, String topic) throws IOException {
        this.random = new Random(seed);
        this.in = new DataInputStream(socket.getInputStream());
        this.out = new DataOutputStream(socket.getOutputStream());
        this.topic = topic;
        this.prefix = topic + "-";
    }

    /** SEED STEPS TOPIC, the topic having three partitions that nobody has written to. */
    static void run(String bootstrap, String[] arguments) throws Exception {
        String[] address = bootstrap.split(":");
        try (Socket socket = new Socket(address[0], Integer.parseInt(address[1]))) {
            socket.setTcpNoDelay(true);
            TransactionWalk walk = new TransactionWalk(socket, Long.parseLong(arguments[0]), arguments[2]);
            walk.findCoordinators();
            int steps = Integer.parseInt(arguments[1]);
            for (int step = 0; step < steps; step++) walk.step(step);
        }
    }

    // The wire

    private ApiMessage send(ApiKeys key, int version, ApiMessage request) throws IOException {
        RequestHeader header = new RequestHeader(key, (short) version, "walk", correlation++);
        ByteBuffer bytes = RequestUtils.serialize(header.data(), header.headerVersion(), request, (short) version);
        out.writeInt(bytes.remaining());
        out.write(bytes.array(), bytes.arrayOffset() + bytes.position(), bytes.remaining());
        out.flush();
        byte[] answer = new byte[in.readInt()];
        in.readFully(answer);
        return AbstractResponse.parseResponse(ByteBuffer.wrap(answer), header).data();
    }

    /** Waits until both coordinators have loaded what this walk asks for, and there are producer ids. */
    private void findCoordinators() throws Exception {
        for (int attempt = 0; attempt < 300; attempt++) {
            boolean ready = find(1, name(0)) && find(0, prefix + "group");
            for (int id = 0; ready && id < IDS; id++) {
                short code = describe(id).errorCode();
                ready = code == 0 || code == Errors.TRANSACTIONAL_ID_NOT_FOUND.code();
            }
            var idempotent = new InitProducerIdRequestData().setTransactionalId(null).setTransactionTimeoutMs(1000);
            ready &= ((InitProducerIdResponseData) send(ApiKeys.INIT_PRODUCER_ID, 3, idempotent)).errorCode() == 0;
            if (ready && offsets(false).errorCode() == 0) return;
            Thread.sleep(100);
        }
        throw new IllegalStateException("the coordinators do not come up");
    }

    private boolean find(int type, String key) throws IOException {
        var request = new FindCoordinatorRequestData().setKey(key).setKeyType((byte) type);
        return ((FindCoordinatorResponseData) send(ApiKeys.FIND_COORDINATOR, 3, request)).errorCode() == 0;
    }

    private DescribeTransactionsResponseData.TransactionState describe(int id) throws IOException {
        var request = new DescribeTransactionsRequestData().setTransactionalIds(List.of(name(id)));
        var answer = (DescribeTransactionsResponseData) send(ApiKeys.DESCRIBE_TRANSACTIONS, 0, request);
        return answer.transactionStates().get(0);
    }

    private OffsetFetchResponseData offsets(boolean stable) throws IOException {
        var partitions = new OffsetFetchRequestData.OffsetFetchRequestTopic().setName(topic)
            .setPartitionIndexes(List.of(0, 1, 2));
        var request = new OffsetFetchRequestData().setGroupId(prefix + "group").setRequireStable(stable)
            .setTopics(List.of(partitions));
        return (OffsetFetchResponseData) send(ApiKeys.OFFSET_FETCH, 7, request);
    }

    /** Before the markers of a transaction are written, the next answers are a matter of luck. */
    private void settle(int id) throws Exception {
        for (int attempt = 0; attempt < 5000; attempt++) {
            if (!describe(id).transactionState().startsWith("Prepare")) return;
            Thread.sleep(2);
        }
        throw new IllegalStateException(name(id) + " is never complete");
    }

    // Who

    private String name(int id) {
        return prefix + id;
    }

    private int number(long producerId) {
        return numbers.computeIfAbsent(producerId, fresh -> {
            producerIds.add(fresh);
            return numbers.size();
        });
    }

    private String say(long producerId) {
        return producerId == -1 ? "-" : "p" + number(producerId);
    }

    private String say(long producerId, short epoch) {
        return say(producerId) + "/" + epoch;
    }

    private long idOf(Who who) {
        return who.id < 0 ? who.id : producerIds.get(who.id);
    }

    private void learn(int id, long producerId, short epoch) {
        if (producerId == -1) return;
        given.computeIfAbsent(id, none -> new ArrayList<>()).add(new Who(number(producerId), epoch));
    }

    /** Mostly the producer that was given out last; else an older one, one of another id, or nobody's. */
    private Who someone(int id) {
        List<Who> own = given.getOrDefault(id, List.of());
        if (own.isEmpty()) return new Who(producerIds.isEmpty() ? -7 : 0, (short) 0);
        Who last = own.get(own.size() - 1);
        int choice = random.nextInt(100);
        if (choice < 72) return last;
        if (choice < 84) return own.get(random.nextInt(own.size()));
        if (choice < 92) return new Who(last.id, (short) (last.epoch + (random.nextBoolean() ? 1 : -1)));
        if (choice < 97) return new Who(random.nextInt(producerIds.size()), last.epoch);
        return new Who(-7, last.epoch);
    }

    private boolean oneIn(int many) {
        return random.nextInt(many) == 0;
    }

    private <T> T oneOf(List<T> choices) {
        return choices.get(random.nextInt(choices.size()));
    }

    // Steps

    private void step(int step) throws Exception {
        int id = random.nextInt(IDS);
        int choice = random.nextInt(100);
        String said;
        if (choice < 16) said = initProducerId(id);
        else if (choice < 34) said = addPartitions(id);
        else if (choice < 39) said = addAsBroker(id);
        else if (choice < 44) said = addOffsets(id);
        else if (choice < 62) said = produce(id);
        else if (choice < 70) said = commitOffsets(id);
        else said = end(id);
        System.out.println(step + " " + id + " " + said);
        settle(id);
        seen(described(id));
        if (oneIn(4)) seen(fetched(random.nextInt(PARTITIONS)));
        if (oneIn(6)) seen(producers(random.nextInt(PARTITIONS)));
        if (oneIn(6)) seen(committed());
        if (oneIn(12)) seen(listed());
    }

    private static void seen(String what) {
        System.out.println("    " + what);
    }

    private String initProducerId(int id) throws Exception {
        int version = random.nextInt(6);
        var request = new InitProducerIdRequestData().setTransactionalId(oneIn(30) ? "" : name(id))
            .setTransactionTimeoutMs(oneIn(15) ? oneOf(List.of(0, -1, 900_001)) : 600_000);
        StringBuilder said = new StringBuilder("InitProducerId v" + version);
        if (version >= 3 && random.nextBoolean()) {
            Who who = someone(id);
            if (oneIn(15)) who = random.nextBoolean() ? new Who(-1, (short) 3) : new Who(who.id, (short) -1);
            request.setProducerId(idOf(who)).setProducerEpoch(who.epoch);
            said.append(' ').append(who);
        }
        said.append(" timeout ").append(request.transactionTimeoutMs());
        said.append(request.transactionalId().isEmpty() ? " no id" : "");
        var answer = (InitProducerIdResponseData) send(ApiKeys.INIT_PRODUCER_ID, version, request);
        if (answer.errorCode() == Errors.CONCURRENT_TRANSACTIONS.code()) {
            // It had to abort a transaction first.
            said.append(" concurrent,");
            endedWithoutBump.remove(id);
            settle(id);
            answer = (InitProducerIdResponseData) send(ApiKeys.INIT_PRODUCER_ID, version, request);
        }
        learn(id, answer.producerId(), answer.producerEpoch());
        return said + arrow(answer.errorCode()) + " " + say(answer.producerId(), answer.producerEpoch());
    }

    private static String arrow(short code) {
        return " -> " + Errors.forCode(code);
    }

    private List<Integer> somePartitions() {
        List<Integer> partitions = new ArrayList<>();
        for (int each = 0; each < PARTITIONS; each++) if (random.nextBoolean()) partitions.add(each);
        if (oneIn(20)) partitions.add(99);
        return partitions.isEmpty() ? List.of(0) : partitions;
    }

    private AddPartitionsToTxnTopicCollection topics(List<Integer> partitions) {
        var topics = new AddPartitionsToTxnTopicCollection();
        topics.add(new AddPartitionsToTxnTopic().setName(topic).setPartitions(partitions));
        return topics;
    }

    private static String codes(AddPartitionsToTxnTopicResultCollection topics) {
        Map<Integer, Errors> codes = new TreeMap<>();
        topics.forEach(it -> it.resultsByPartition()
            .forEach(each -> codes.put(each.partitionIndex(), Errors.forCode(each.partitionErrorCode()))));
        return codes.toString();
    }

    private String addPartitions(int id) throws Exception {
        int version = random.nextInt(4);
        Who who = someone(id);
        List<Integer> partitions = somePartitions();
        String name = oneIn(30) ? "" : name(id);
        var request = new AddPartitionsToTxnRequestData().setV3AndBelowTransactionalId(name)
            .setV3AndBelowProducerId(idOf(who)).setV3AndBelowProducerEpoch(who.epoch)
            .setV3AndBelowTopics(topics(partitions));
        var answer = (AddPartitionsToTxnResponseData) send(ApiKeys.ADD_PARTITIONS_TO_TXN, version, request);
        return "AddPartitionsToTxn v" + version + " " + who + " " + partitions + (name.isEmpty() ? " no id" : "")
            + " -> " + codes(answer.resultsByTopicV3AndBelow());
    }

    private String addAsBroker(int id) throws Exception {
        int version = 4 + random.nextInt(2);
        Who who = someone(id);
        List<Integer> partitions = somePartitions();
        boolean verifyOnly = random.nextBoolean();
        var transactions = new AddPartitionsToTxnTransactionCollection();
        transactions.add(new AddPartitionsToTxnTransaction().setTransactionalId(name(id)).setProducerId(idOf(who))
            .setProducerEpoch(who.epoch).setVerifyOnly(verifyOnly).setTopics(topics(partitions)));
        var request = new AddPartitionsToTxnRequestData().setTransactions(transactions);
        var answer = (AddPartitionsToTxnResponseData) send(ApiKeys.ADD_PARTITIONS_TO_TXN, version, request);
        return "AddPartitionsToTxn v" + version + (verifyOnly ? " verify " : " add ") + who + " " + partitions
            + arrow(answer.errorCode()) + " " + codes(answer.resultsByTransaction().find(name(id)).topicResults());
    }

    private String addOffsets(int id) throws Exception {
        int version = random.nextInt(5);
        Who who = someone(id);
        var request = new AddOffsetsToTxnRequestData().setTransactionalId(name(id)).setProducerId(idOf(who))
            .setProducerEpoch(who.epoch).setGroupId(prefix + "group");
        var answer = (AddOffsetsToTxnResponseData) send(ApiKeys.ADD_OFFSETS_TO_TXN, version, request);
        return "AddOffsetsToTxn v" + version + " " + who + arrow(answer.errorCode());
    }

    private String produce(int id) throws Exception {
        int version = 9 + random.nextInt(4);
        Who who = someone(id);
        if (producerIds.isEmpty()) return "nobody can produce yet";
        // The client's own classes refuse to write a batch of nobody.
        who = new Who(Math.max(0, who.id), (short) Math.max(0, who.epoch));
        int partition = random.nextInt(PARTITIONS);
        String key = partition + " " + who;
        int kind = random.nextInt(20);
        int sequence = sequences.getOrDefault(key, 0);
        if (kind == 0 && sequence > 0) sequence--;
        if (kind == 1) sequence += 2;
        boolean transactional = !oneIn(25);
        SimpleRecord record = new SimpleRecord(System.currentTimeMillis(), ("k" + sequence).getBytes(), new byte[] {1});
        MemoryRecords records = transactional
            ? MemoryRecords.withTransactionalRecords(Compression.NONE, idOf(who), who.epoch, sequence, record)
            : MemoryRecords.withIdempotentRecords(Compression.NONE, idOf(who), who.epoch, sequence, record);
        var data = new ProduceRequestData.TopicProduceDataCollection();
        data.add(new ProduceRequestData.TopicProduceData().setName(topic).setPartitionData(
            List.of(new ProduceRequestData.PartitionProduceData().setIndex(partition).setRecords(records))));
        var request = new ProduceRequestData().setAcks((short) -1).setTimeoutMs(10_000).setTopicData(data)
            .setTransactionalId(transactional ? name(id) : null);
        var answer = (ProduceResponseData) send(ApiKeys.PRODUCE, version, request);
        var result = answer.responses().iterator().next().partitionResponses().get(0);
        if (result.errorCode() == 0) sequences.put(key, sequence + 1);
        return "Produce v" + version + " " + who + " partition " + partition + " sequence " + sequence
            + (transactional ? "" : " not transactional") + arrow(result.errorCode()) + " " + result.baseOffset();
    }

    private String commitOffsets(int id) throws Exception {
        int version = random.nextInt(6);
        Who who = someone(id);
        long offset = random.nextInt(1000);
        var committed = new TxnOffsetCommitRequestData.TxnOffsetCommitRequestPartition().setPartitionIndex(id)
            .setCommittedOffset(offset).setCommittedMetadata("");
        var request = new TxnOffsetCommitRequestData().setTransactionalId(name(id)).setGroupId(prefix + "group")
            .setProducerId(idOf(who)).setProducerEpoch(who.epoch).setTopics(
                List.of(new TxnOffsetCommitRequestData.TxnOffsetCommitRequestTopic().setName(topic)
                    .setPartitions(List.of(committed))));
        var answer = (TxnOffsetCommitResponseData) send(ApiKeys.TXN_OFFSET_COMMIT, version, request);
        short code = answer.topics().get(0).partitions().get(0).errorCode();
        return "TxnOffsetCommit v" + version + " " + who + " " + offset + arrow(code);
    }

    private String end(int id) throws Exception {
        int version = random.nextBoolean() ? 5 : random.nextInt(6);
        Who who = someone(id);
        // There Lastword is stricter than Kafka: docs/differences.md.
        boolean isOneBehind = who.epoch + 1 == epochs.getOrDefault(id, Short.MIN_VALUE);
        if (version == 5 && isOneBehind && endedWithoutBump.contains(id)) version = 4;
        String name = oneIn(40) ? "" : name(id);
        var request = new EndTxnRequestData().setTransactionalId(name).setProducerId(idOf(who))
            .setProducerEpoch(who.epoch).setCommitted(random.nextBoolean());
        var answer = (EndTxnResponseData) send(ApiKeys.END_TXN, version, request);
        learn(id, answer.producerId(), answer.producerEpoch());
        if (answer.errorCode() == 0 && version < 5) endedWithoutBump.add(id);
        if (answer.errorCode() == 0 && version == 5) endedWithoutBump.remove(id);
        return "EndTxn v" + version + " " + who + (request.committed() ? " commit" : " abort")
            + (name.isEmpty() ? " no id" : "") + arrow(answer.errorCode()) + " "
            + say(answer.producerId(), answer.producerEpoch());
    }

    // What can be seen

    private String described(int id) throws Exception {
        var state = describe(id);
        if (state.errorCode() != 0) return "is " + Errors.forCode(state.errorCode());
        epochs.put(id, state.producerEpoch());
        // Which partition of __consumer_offsets a group has depends on how many there are.
        String topics = state.topics().stream()
            .map(it -> it.topic().equals(topic) ? "topic" + it.partitions().stream().sorted().toList() : it.topic())
            .sorted().collect(Collectors.joining(" "));
        return "is " + state.transactionState() + " " + say(state.producerId(), state.producerEpoch()) + " timeout "
            + state.transactionTimeoutMs() + (state.transactionStartTimeMs() >= 0 ? " started " : " ") + topics;
    }

    private String fetched(int partition) throws Exception {
        var request = new FetchRequestData().setMaxWaitMs(0).setMinBytes(0).setMaxBytes(1 << 20)
            .setIsolationLevel((byte) 1).setTopics(
                List.of(new FetchRequestData.FetchTopic().setTopic(topic).setPartitions(
                    List.of(new FetchRequestData.FetchPartition().setPartition(partition).setFetchOffset(0)
                        .setPartitionMaxBytes(1 << 20)))));
        var answer = (FetchResponseData) send(ApiKeys.FETCH, 11, request);
        var data = answer.responses().get(0).partitions().get(0);
        StringBuilder batches = new StringBuilder();
        if (data.records() instanceof Records records)
            for (RecordBatch batch : records.batches())
                batches.append(' ').append(batch.baseOffset()).append(batch.isControlBatch() ? "!" : ":")
                    .append(say(batch.producerId(), batch.producerEpoch()));
        var aborted = data.abortedTransactions() == null ? Stream.<String>of()
            : data.abortedTransactions().stream().map(it -> say(it.producerId()) + "@" + it.firstOffset());
        return "partition " + partition + " " + Errors.forCode(data.errorCode()) + " high " + data.highWatermark()
            + " stable " + data.lastStableOffset() + " aborted " + aborted.sorted().toList() + " has" + batches;
    }

    private String producers(int partition) throws Exception {
        var request = new DescribeProducersRequestData().setTopics(List.of(
            new DescribeProducersRequestData.TopicRequest().setName(topic).setPartitionIndexes(List.of(partition))));
        var answer = (DescribeProducersResponseData) send(ApiKeys.DESCRIBE_PRODUCERS, 0, request);
        var result = answer.topics().get(0).partitions().get(0);
        return "producers of " + partition + " " + Errors.forCode(result.errorCode()) + " "
            + result.activeProducers().stream()
                .map(it -> say(it.producerId()) + "/" + it.producerEpoch() + " sequence " + it.lastSequence()
                    + " coordinator " + it.coordinatorEpoch() + " since " + it.currentTxnStartOffset())
                .sorted().toList();
    }

    private String committed() throws Exception {
        boolean stable = random.nextBoolean();
        OffsetFetchResponseData answer = offsets(stable);
        ToIntFunction<OffsetFetchResponseData.OffsetFetchResponsePartition> index = it -> it.partitionIndex();
        return "offsets" + (stable ? " stable " : " ") + Errors.forCode(answer.errorCode()) + " "
            + answer.topics().stream().flatMap(it -> it.partitions().stream())
                .sorted(java.util.Comparator.comparingInt(index))
                .map(it -> it.committedOffset() + " " + Errors.forCode(it.errorCode())).toList();
    }

    private String listed() throws Exception {
        int version = random.nextInt(3);
        var request = new ListTransactionsRequestData();
        if (random.nextBoolean()) request.setStateFilters(List.of("Ongoing", "CompleteCommit", "Nonsense"));
        boolean byProducer = !producerIds.isEmpty() && oneIn(3);
        if (byProducer) request.setProducerIdFilters(List.of(oneOf(producerIds)));
        if (version >= 1 && oneIn(3)) request.setDurationFilter(oneOf(List.of(0L, 3_600_000_000L)));
        if (version >= 2 && oneIn(2)) request.setTransactionalIdPattern(oneOf(List.of("", ".*-[01]", "walk", "(")));
        var answer = (ListTransactionsResponseData) send(ApiKeys.LIST_TRANSACTIONS, version, request);
        return "listed v" + version + " " + request.stateFilters() + (byProducer ? " one producer " : " ")
            + request.durationFilter() + " " + request.transactionalIdPattern() + arrow(answer.errorCode())
            + " unknown " + answer.unknownStateFilters() + " " + answer.transactionStates().stream()
                .filter(it -> it.transactionalId().startsWith(prefix))
                .map(it -> it.transactionalId().substring(prefix.length()) + " " + say(it.producerId()) + " "
                    + it.transactionState())
                .sorted().toList();
    }
}
