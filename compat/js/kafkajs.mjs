// KafkaJS, the most used client of Node.js: scenarios, see scenarios.mjs.

import zlib from 'node:zlib'
import kafkajs from 'kafkajs'
import snappy from 'kafkajs-snappy'
import { assert, main, unique, until } from './scenarios.mjs'

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, PartitionAssigners, logLevel } = kafkajs

CompressionCodecs[CompressionTypes.Snappy] = snappy
// Zstandard as Node.js has it.
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => zlib.zstdCompressSync(encoder.buffer),
  decompress: async buffer => zlib.zstdDecompressSync(buffer)
})

const client = bootstrap => new Kafka({
  clientId: 'compat', brokers: [bootstrap], logLevel: logLevel.ERROR, retry: { retries: 8 }
})

async function withAdmin(bootstrap, use) {
  const admin = client(bootstrap).admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

async function create(bootstrap, numPartitions = 1, configs = {}) {
  const topic = unique('kafkajs')
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value: String(value) }))
  await withAdmin(bootstrap, admin => createOn(admin, [{ topic, numPartitions, configEntries }]))
  return topic
}

/** Kafka knows a new topic a moment later than it answers; this client's own waiting ends with an error then. */
async function createOn(admin, topics) {
  await admin.createTopics({ waitForLeaders: false, topics })
  await until(() => admin.fetchTopicMetadata({ topics: topics.map(one => one.topic) })
    .then(found => found.topics.every(one => one.partitions.every(({ leader }) => leader >= 0)), () => false), 'it is there')
}

async function withProducer(bootstrap, options, use) {
  const producer = client(bootstrap).producer(options)
  await producer.connect()
  try {
    return await use(producer)
  } finally {
    await producer.disconnect()
  }
}

const produce = (bootstrap, topic, values, more = {}) => withProducer(bootstrap, {}, producer =>
  producer.send({ topic, messages: values.map((value, i) => ({ key: `k${i}`, value })), ...more }))

/** A running consumer and the messages that it has got. */
async function member(bootstrap, topics, groupId, options = {}, run = {}) {
  const consumer = client(bootstrap).consumer({
    groupId, heartbeatInterval: 200, sessionTimeout: 10_000, rebalanceTimeout: 10_000, metadataMaxAge: 1000, ...options
  })
  const found = []
  let owned = {}
  consumer.on(consumer.events.GROUP_JOIN, event => { owned = event.payload.memberAssignment })
  await consumer.connect()
  await consumer.subscribe({ topics, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ topic, partition, message }) => { found.push({ topic, partition, ...message }) }, ...run
  })
  return { consumer, found, owned: topic => owned[topic] ?? [] }
}

/** `count` messages from the beginning; more than that are an error. */
async function read(bootstrap, topic, count, options = {}) {
  const { consumer, found } = await member(bootstrap, [topic], unique('group'), options)
  try {
    await until(() => found.length >= count, `${count} messages are read from ${topic}`)
    assert.equal(found.length, count)
    return found
  } finally {
    await consumer.disconnect()
  }
}

const texts = messages => messages.map(message => message.value?.toString())

const codec = compression => async bootstrap => {
  const topic = await create(bootstrap)
  const values = Array.from({ length: 500 }, (_, i) => `${i} ${'x'.repeat(200)}`)
  await produce(bootstrap, topic, values, { compression })
  assert.deepEqual(texts(await read(bootstrap, topic, 500)), values)
}

const acks = setting => async bootstrap => {
  const topic = await create(bootstrap)
  await produce(bootstrap, topic, ['a', 'b'], { acks: setting })
  assert.deepEqual(texts(await read(bootstrap, topic, 2)), ['a', 'b'])
}

const shares = partitionAssigners => async bootstrap => {
  const topic = await create(bootstrap, 6)
  const group = unique('group')
  const members = [await member(bootstrap, [topic], group, { partitionAssigners })]
  const shared = count => () => {
    const owned = members.map(one => one.owned(topic))
    return owned.length === count && owned.every(one => one.length) &&
      owned.flat().sort().join() === '0,1,2,3,4,5'
  }
  try {
    await until(shared(1), 'one member has all')
    members.push(await member(bootstrap, [topic], group, { partitionAssigners }))
    await until(shared(2), 'two members share')
    members.push(await member(bootstrap, [topic], group, { partitionAssigners }))
    await until(shared(3), 'three members share')
    await members.shift().consumer.disconnect()
    await until(shared(2), 'two members share what the third has left')
  } finally {
    for (const one of members) await one.consumer.disconnect()
  }
}

const transactional = { idempotent: true, maxInFlightRequests: 1 }

await main({
  codec_none: codec(CompressionTypes.None),
  codec_gzip: codec(CompressionTypes.GZIP),
  codec_snappy: codec(CompressionTypes.Snappy),
  codec_zstd: codec(CompressionTypes.ZSTD),
  acks_0: acks(0),
  acks_1: acks(1),
  acks_all: acks(-1),

  async idempotent_producer(bootstrap) {
    const topic = await create(bootstrap, 3)
    await withProducer(bootstrap, { idempotent: true }, async producer => {
      for (let i = 0; i < 20; i++) {
        const [one] = await producer.send({ topic, messages: [{ value: `${i}`, partition: 0 }] })
        assert.equal(one.baseOffset, `${i}`)
      }
      await producer.sendBatch({ topicMessages: [{ topic, messages: [1, 2].map(p => ({ value: 'b', partition: p })) }] })
    })
    await read(bootstrap, topic, 22)
  },

  async headers_tombstones_and_timestamps(bootstrap) {
    const topic = await create(bootstrap, 1, { 'cleanup.policy': 'compact' })
    await withProducer(bootstrap, {}, producer => producer.send({
      topic,
      messages: [
        { key: 'k', value: 'v', headers: { one: '1', many: ['2', '3'] }, timestamp: '1700000000123' },
        { key: 'k', value: null }, { key: '', value: '' }
      ]
    }))
    const [first, second, third] = await read(bootstrap, topic, 3)
    assert.equal(first.headers.one.toString(), '1')
    assert.deepEqual(first.headers.many.map(String), ['2', '3'])
    assert.equal(first.timestamp, '1700000000123')
    assert.equal(second.value, null)
    assert.deepEqual([third.key.toString(), third.value.toString()], ['', ''])
  },

  async a_keyless_record_to_a_compacted_topic_is_refused(bootstrap) {
    const topic = await create(bootstrap, 1, { 'cleanup.policy': 'compact' })
    // Error 87, INVALID_RECORD, is newer than this client's table.
    await assert.rejects(withProducer(bootstrap, { retry: { retries: 0 } }, producer =>
      producer.send({ topic, messages: [{ value: 'v' }] })))
    await produce(bootstrap, topic, ['a'])
    assert.equal((await read(bootstrap, topic, 1))[0].offset, '0')
  },

  async too_large_a_message(bootstrap) {
    const topic = await create(bootstrap, 1, { 'max.message.bytes': 1000 })
    await assert.rejects(produce(bootstrap, topic, ['x'.repeat(5000)]), { type: 'MESSAGE_TOO_LARGE' })
  },

  async auto_created_topic(bootstrap) {
    const topic = unique('auto')
    await produce(bootstrap, topic, ['a'])
    assert.deepEqual(texts(await read(bootstrap, topic, 1)), ['a'])
  },

  members_share_round_robin: shares([PartitionAssigners.roundRobin]),

  async a_group_resumes_at_its_commit(bootstrap) {
    const topic = await create(bootstrap)
    const group = unique('group')
    await produce(bootstrap, topic, Array.from({ length: 20 }, (_, i) => `${i}`))
    const first = await member(bootstrap, [topic], group, {}, { autoCommit: false })
    await until(() => first.found.length === 20, '20 are read')
    await first.consumer.commitOffsets([{ topic, partition: 0, offset: '12', metadata: 'note' }])
    await first.consumer.disconnect()
    const second = await member(bootstrap, [topic], group)
    await until(() => second.found.length === 8, '8 are read')
    await second.consumer.disconnect()
    assert.equal(second.found[0].value.toString(), '12')
  },

  async seek_pause_and_resume(bootstrap) {
    const topic = await create(bootstrap)
    await produce(bootstrap, topic, ['0', '1', '2', '3'])
    const { consumer, found } = await member(bootstrap, [topic], unique('group'), {}, { autoCommit: false })
    try {
      await until(() => found.length === 4, 'all are read')
      consumer.seek({ topic, partition: 0, offset: '2' })
      await until(() => found.length === 6, 'two are read again')
      assert.deepEqual(texts(found.slice(4)), ['2', '3'])
      consumer.pause([{ topic }])
      await produce(bootstrap, topic, ['4'])
      assert.equal(found.length, 6)
      consumer.resume([{ topic }])
      await until(() => found.length === 7, 'what came while paused is read')
    } finally {
      await consumer.disconnect()
    }
  },

  async each_batch(bootstrap) {
    const topic = await create(bootstrap)
    await produce(bootstrap, topic, ['a', 'b', 'c'])
    const seen = []
    const { consumer } = await member(bootstrap, [topic], unique('group'), {}, {
      eachMessage: undefined,
      eachBatch: async ({ batch }) => {
        seen.push(...texts(batch.messages))
        assert.equal(batch.highWatermark, '3')
      }
    })
    await until(() => seen.length === 3, 'three are read')
    await consumer.disconnect()
  },

  async subscribing_by_pattern(bootstrap) {
    const prefix = unique('pattern')
    await withAdmin(bootstrap, admin => createOn(admin, ['a', 'b'].map(end => ({ topic: `${prefix}-${end}` }))))
    await produce(bootstrap, `${prefix}-a`, ['a'])
    await produce(bootstrap, `${prefix}-b`, ['b'])
    const { consumer, found } = await member(bootstrap, [new RegExp(`^${prefix}-.*`)], unique('group'))
    await until(() => found.length === 2, 'both are read')
    await consumer.disconnect()
  },

  async a_transaction_commits_and_one_aborts(bootstrap) {
    const topic = await create(bootstrap, 2)
    await withProducer(bootstrap, { ...transactional, transactionalId: unique('txn') }, async producer => {
      const both = value => ({ topic, messages: [0, 1].map(partition => ({ partition, value })) })
      const first = await producer.transaction()
      await first.send(both('committed'))
      await first.commit()
      const second = await producer.transaction()
      await second.send(both('aborted'))
      await second.abort()
      const third = await producer.transaction()
      await third.send(both('last'))
      await third.commit()
    })
    const committed = texts(await read(bootstrap, topic, 4))
    assert.deepEqual(committed.sort(), ['committed', 'committed', 'last', 'last'])
    await read(bootstrap, topic, 6, { readUncommitted: true })
  },

  async offsets_commit_with_the_transaction(bootstrap) {
    const source = await create(bootstrap)
    const sink = await create(bootstrap)
    const group = unique('group')
    await produce(bootstrap, source, ['a', 'b', 'c'])
    const { consumer, found } = await member(bootstrap, [source], group, {}, { autoCommit: false })
    await until(() => found.length === 3, 'three are read')
    await withProducer(bootstrap, { ...transactional, transactionalId: unique('txn') }, async producer => {
      const offsets = offset => ({ consumerGroupId: group, topics: [{ topic: source, partitions: [{ partition: 0, offset }] }] })
      const lost = await producer.transaction()
      await lost.send({ topic: sink, messages: [{ value: 'lost' }] })
      await lost.sendOffsets(offsets('1'))
      await lost.abort()
      const kept = await producer.transaction()
      await kept.send({ topic: sink, messages: found.map(({ value }) => ({ value })) })
      await kept.sendOffsets(offsets('3'))
      await kept.commit()
    })
    await consumer.disconnect()
    const [committed] = await withAdmin(bootstrap, admin => admin.fetchOffsets({ groupId: group, topics: [source] }))
    assert.equal(committed.partitions[0].offset, '3')
    assert.deepEqual(texts(await read(bootstrap, sink, 3)), ['a', 'b', 'c'])
  },

  async a_second_producer_fences_the_first(bootstrap) {
    const topic = await create(bootstrap)
    const options = { ...transactional, transactionalId: unique('txn'), retry: { retries: 1 } }
    await withProducer(bootstrap, options, async first => {
      const open = await first.transaction()
      await open.send({ topic, messages: [{ value: 'first' }] })
      await withProducer(bootstrap, options, async second => {
        const transaction = await second.transaction()
        await transaction.send({ topic, messages: [{ value: 'second' }] })
        await transaction.commit()
      })
      await assert.rejects(open.send({ topic, messages: [{ value: 'late' }] }).then(() => open.commit()))
    })
    assert.deepEqual(texts(await read(bootstrap, topic, 1)), ['second'])
  },

  admin_topics_and_partitions: bootstrap => withAdmin(bootstrap, async admin => {
    const topic = unique('admin')
    assert.equal(await admin.createTopics({ waitForLeaders: false, topics: [{ topic, numPartitions: 2 }] }), true)
    assert.equal(await admin.createTopics({ topics: [{ topic }] }), false)
    await assert.rejects(admin.createTopics({ topics: [{ topic: 'not a name!' }] }))
    await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] })
    const described = await until(async () => {
      const { topics: [one] } = await admin.fetchTopicMetadata({ topics: [topic] })
      return one.partitions.length === 4 && one
    }, 'the topic has four partitions')
    assert.ok(described.partitions.every(one => one.leader >= 0))
    assert.ok((await admin.listTopics()).includes(topic))
    await admin.deleteTopics({ topics: [topic] })
    await until(async () => !(await admin.listTopics()).includes(topic), 'the topic is gone')
  }),

  admin_configs: bootstrap => withAdmin(bootstrap, async admin => {
    const topic = unique('admin')
    const value = async () => {
      const { resources: [one] } = await admin.describeConfigs({
        includeSynonyms: true,
        resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: ['retention.ms'] }]
      })
      return one.configEntries[0].configValue
    }
    await createOn(admin, [{ topic, configEntries: [{ name: 'retention.ms', value: '12345' }] }])
    assert.equal(await value(), '12345')
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: 'retention.ms', value: '777' }] }]
    })
    await until(async () => await value() === '777', 'the config has changed')
  }),

  async admin_groups_and_offsets(bootstrap) {
    const topic = await create(bootstrap)
    const group = unique('group')
    await produce(bootstrap, topic, ['a', 'b', 'c'])
    const { consumer, found } = await member(bootstrap, [topic], group)
    await until(() => found.length === 3, 'three are read')
    await withAdmin(bootstrap, async admin => {
      const { groups } = await admin.listGroups()
      assert.ok(groups.some(one => one.groupId === group && one.protocolType === 'consumer'))
      const { groups: [described] } = await admin.describeGroups([group])
      assert.deepEqual([described.state, described.members.length], ['Stable', 1])
      await consumer.disconnect()
      assert.equal((await admin.fetchTopicOffsets(topic))[0].offset, '3')
      await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: '1' }] })
      const [{ partitions: [one] }] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
      assert.equal(one.offset, '1')
      await admin.resetOffsets({ groupId: group, topic, earliest: true })
      await admin.deleteGroups([group])
      assert.ok(!(await admin.listGroups()).groups.some(found => found.groupId === group))
    })
  },

  async admin_delete_records_and_offsets_by_time(bootstrap) {
    const topic = await create(bootstrap)
    await withProducer(bootstrap, {}, producer => producer.send({
      topic, messages: Array.from({ length: 5 }, (_, i) => ({ value: `${i}`, timestamp: String(1_700_000_000_000 + i * 1000) }))
    }))
    await withAdmin(bootstrap, async admin => {
      const [at] = await admin.fetchTopicOffsetsByTimestamp(topic, 1_700_000_001_500)
      assert.equal(at.offset, '2')
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '3' }] })
      assert.equal((await admin.fetchTopicOffsets(topic))[0].low, '3')
    })
    assert.deepEqual(texts(await read(bootstrap, topic, 2)), ['3', '4'])
  },

  describe_cluster: bootstrap => withAdmin(bootstrap, async admin => {
    const { brokers, controller, clusterId } = await admin.describeCluster()
    assert.equal(brokers.length, 1)
    assert.equal(controller, brokers[0].nodeId)
    assert.ok(clusterId)
  })
})
