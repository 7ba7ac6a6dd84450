// @platformatic/kafka, the newest client of Node.js, with both group protocols: scenarios, see scenarios.mjs.

import {
  Admin, Consumer, ConfigResourceTypes, IncrementalAlterConfigOperationTypes, ListOffsetTimestamps, MessagesStreamModes,
  Producer, stringDeserializers, stringSerializers
} from '@platformatic/kafka'
import { assert, main, unique, until } from './scenarios.mjs'

const base = bootstrap => ({ clientId: 'compat', bootstrapBrokers: [bootstrap], retries: 30, retryDelay: 200 })

async function using(client, use) {
  try {
    return await use(client)
  } finally {
    await (client instanceof Admin ? client.close() : client.close(true))
  }
}

const withAdmin = (bootstrap, use) => using(new Admin(base(bootstrap)), use)

const withProducer = (bootstrap, options, use) =>
  using(new Producer({ ...base(bootstrap), serializers: stringSerializers, ...options }), use)

async function create(bootstrap, partitions = 1, configs = {}) {
  const topic = unique('platformatic')
  await withAdmin(bootstrap, admin => admin.createTopics({
    topics: [topic], partitions, replicas: 1, configs: Object.entries(configs).map(([name, value]) => ({ name, value: String(value) }))
  }))
  return topic
}

const produce = (bootstrap, topic, values, options = {}) => withProducer(bootstrap, options, producer =>
  producer.send({ messages: values.map((value, i) => ({ topic, key: `k${i}`, value })) }))

async function member(bootstrap, topics, groupId, options = {}, consume = {}) {
  const consumer = new Consumer({
    ...base(bootstrap), groupId, deserializers: stringDeserializers, maxWaitTime: 200, metadataMaxAge: 1000,
    ...(options.groupProtocol === 'consumer' ? {} : { sessionTimeout: 10_000, heartbeatInterval: 200 }), ...options
  })
  const stream = await consumer.consume({
    topics, mode: MessagesStreamModes.COMMITTED, fallbackMode: 'earliest', autocommit: false, ...consume
  })
  const found = []
  const errors = []
  stream.on('data', message => found.push(message))
  stream.on('error', error => errors.push(error))
  const owned = topic => (consumer.assignments ?? []).filter(one => one.topic === topic).flatMap(one => one.partitions)
  return { consumer, stream, found, errors, owned, close: () => consumer.close(true) }
}

async function read(bootstrap, topic, count, options = {}, consume = {}) {
  const one = await member(bootstrap, [topic], unique('group'), options, consume)
  try {
    await until(() => one.found.length >= count || one.errors.length, `${count} messages are read from ${topic}`)
    assert.deepEqual(one.errors, [])
    assert.equal(one.found.length, count)
    return one.found
  } finally {
    await one.close()
  }
}

const texts = messages => messages.map(message => message.value)

const codec = compression => async bootstrap => {
  const topic = await create(bootstrap)
  const values = Array.from({ length: 500 }, (_, i) => `${i} ${'x'.repeat(200)}`)
  await produce(bootstrap, topic, values, { compression })
  assert.deepEqual(texts(await read(bootstrap, topic, 500)), values)
}

const shares = options => async bootstrap => {
  const topic = await create(bootstrap, 6)
  const group = unique('group')
  const members = [await member(bootstrap, [topic], group, options)]
  const shared = () => {
    const owned = members.map(one => one.owned(topic))
    return owned.every(one => one.length) && owned.flat().sort().join() === '0,1,2,3,4,5'
  }
  try {
    await until(shared, 'one member has all')
    members.push(await member(bootstrap, [topic], group, options))
    await until(shared, 'two members share')
    await members.shift().close()
    await until(shared, 'the one that is left has all')
  } finally {
    for (const one of members) await one.close()
  }
}

const resumes = options => async bootstrap => {
  const topic = await create(bootstrap)
  const group = unique('group')
  await produce(bootstrap, topic, Array.from({ length: 20 }, (_, i) => `${i}`))
  const first = await member(bootstrap, [topic], group, options)
  await until(() => first.found.length === 20, '20 are read')
  await first.consumer.commit({ offsets: [{ topic, partition: 0, offset: 12n, leaderEpoch: 0 }] })
  const committed = await first.consumer.listCommittedOffsets({ topics: [{ topic, partitions: [0] }] })
  assert.equal(committed.get(topic)[0], 12n)
  await first.close()
  const second = await member(bootstrap, [topic], group, options)
  await until(() => second.found.length === 8, '8 are read')
  await second.close()
  assert.equal(second.found[0].value, '12')
}

await main({
  codec_none: codec('none'),
  codec_gzip: codec('gzip'),
  codec_snappy: codec('snappy'),
  codec_lz4: codec('lz4'),
  codec_zstd: codec('zstd'),

  async acks_0(bootstrap) {
    const topic = await create(bootstrap)
    await produce(bootstrap, topic, ['a', 'b'], { acks: 0 })
    assert.deepEqual(texts(await read(bootstrap, topic, 2)), ['a', 'b'])
  },

  async idempotent_producer(bootstrap) {
    const topic = await create(bootstrap)
    await withProducer(bootstrap, { idempotent: true }, async producer => {
      for (let i = 0; i < 20; i++) {
        const { offsets: [one] } = await producer.send({ messages: [{ topic, key: 'k', value: `${i}` }] })
        assert.equal(one.offset, BigInt(i))
      }
    })
    await read(bootstrap, topic, 20)
  },

  async headers_tombstones_and_timestamps(bootstrap) {
    const topic = await create(bootstrap, 1, { 'cleanup.policy': 'compact' })
    await withProducer(bootstrap, {}, producer => producer.send({
      messages: [
        { topic, key: 'k', value: 'v', headers: { one: '1' }, timestamp: 1700000000123n },
        { topic, key: 'k' }
      ]
    }))
    const [first, second] = await read(bootstrap, topic, 2)
    assert.equal(first.headers.get('one'), '1')
    assert.equal(first.timestamp, 1700000000123n)
    assert.ok(!second.value)
  },

  async a_keyless_record_to_a_compacted_topic_is_refused(bootstrap) {
    const topic = await create(bootstrap, 1, { 'cleanup.policy': 'compact' })
    await assert.rejects(withProducer(bootstrap, { retries: 0 }, producer =>
      producer.send({ messages: [{ topic, value: 'v' }] })), problem => Boolean(problem.findBy('apiId', 'INVALID_RECORD')))
  },

  async produce_by_a_stream(bootstrap) {
    const topic = await create(bootstrap)
    await withProducer(bootstrap, {}, async producer => {
      const stream = producer.asStream({ batchSize: 10, batchTime: 5 })
      for (let i = 0; i < 100; i++) stream.write({ topic, key: `${i}`, value: `${i}` })
      await stream.close()
    })
    await read(bootstrap, topic, 100)
  },

  classic_members_share: shares({}),
  classic_group_resumes_at_its_commit: resumes({}),
  consumer_protocol_members_share: shares({ groupProtocol: 'consumer' }),
  consumer_protocol_members_share_by_range: shares({ groupProtocol: 'consumer', groupRemoteAssignor: 'range' }),
  consumer_protocol_group_resumes_at_its_commit: resumes({ groupProtocol: 'consumer' }),

  async a_static_member_returns(bootstrap) {
    const topic = await create(bootstrap, 2)
    const group = unique('group')
    const first = await member(bootstrap, [topic], group, { groupInstanceId: 'static-1' })
    await until(() => first.owned(topic).length === 2, 'it has both')
    await first.close()
    const second = await member(bootstrap, [topic], group, { groupInstanceId: 'static-1' })
    await until(() => second.owned(topic).length === 2, 'it has both again')
    await second.close()
  },

  async autocommit_and_lag(bootstrap) {
    const topic = await create(bootstrap)
    const group = unique('group')
    await produce(bootstrap, topic, ['a', 'b', 'c'])
    const one = await member(bootstrap, [topic], group, {}, { autocommit: 100 })
    await until(() => one.found.length === 3, 'three are read')
    await until(async () => {
      const committed = await one.consumer.listCommittedOffsets({ topics: [{ topic, partitions: [0] }] })
      return committed.get(topic)[0] === 3n
    }, 'the commit is there')
    await produce(bootstrap, topic, ['d'])
    await one.close()
    const next = await member(bootstrap, [topic], group)
    await until(() => next.found.length === 1, 'the fourth is read')
    await next.close()
    assert.deepEqual(texts(next.found), ['d'])
  },

  async list_offsets_by_time(bootstrap) {
    const topic = await create(bootstrap)
    // Its default is acks=1, which is answered before the end of the partition moves.
    await withProducer(bootstrap, {}, producer => producer.send({
      acks: -1,
      messages: Array.from({ length: 5 }, (_, i) => ({ topic, value: `${i}`, timestamp: 1_700_000_000_000n + BigInt(i) * 1000n }))
    }))
    const consumer = new Consumer({ ...base(bootstrap), groupId: unique('group'), deserializers: stringDeserializers })
    await using(consumer, async () => {
      const at = async timestamp => (await consumer.listOffsets({ topics: [topic], timestamp })).get(topic)[0]
      assert.equal(await at(ListOffsetTimestamps.EARLIEST), 0n)
      assert.equal(await at(ListOffsetTimestamps.LATEST), 5n)
      assert.equal(await at(1_700_000_001_500n), 2n)
    })
  },

  async a_transaction_commits_and_one_aborts(bootstrap) {
    const topic = await create(bootstrap, 2)
    const options = { idempotent: true, transactionalId: unique('txn') }
    await withProducer(bootstrap, options, async producer => {
      const both = value => ({ messages: [0, 1].map(partition => ({ topic, partition, value })) })
      const first = await producer.beginTransaction()
      await first.send(both('committed'))
      await first.commit()
      const second = await producer.beginTransaction()
      await second.send(both('aborted'))
      await second.abort()
      const third = await producer.beginTransaction()
      await third.send(both('last'))
      await third.commit()
    })
    const committed = texts(await read(bootstrap, topic, 4, {}, { isolationLevel: 1 }))
    assert.deepEqual(committed.sort(), ['committed', 'committed', 'last', 'last'])
    await read(bootstrap, topic, 6, {}, { isolationLevel: 0 })
  },

  async offsets_commit_with_the_transaction(bootstrap) {
    const source = await create(bootstrap)
    const sink = await create(bootstrap)
    const group = unique('group')
    await produce(bootstrap, source, ['a', 'b', 'c'])
    const one = await member(bootstrap, [source], group)
    await until(() => one.found.length === 3, 'three are read')
    const committed = async () =>
      (await one.consumer.listCommittedOffsets({ topics: [{ topic: source, partitions: [0] }] })).get(source)[0]
    await withProducer(bootstrap, { idempotent: true, transactionalId: unique('txn') }, async producer => {
      const step = async (message, value, commit) => {
        const transaction = await producer.beginTransaction()
        await transaction.addConsumer(one.consumer)
        await transaction.send({ messages: [{ topic: sink, value }] })
        await transaction.addOffset(message)
        await (commit ? transaction.commit() : transaction.abort())
      }
      await step(one.found[1], 'lost', false)
      assert.equal(await committed(), -1n)
      await step(one.found[2], 'kept', true)
    })
    const found = await committed()
    await one.close()
    assert.ok(found >= 2n, `committed ${found}`)
    assert.deepEqual(texts(await read(bootstrap, sink, 1, {}, { isolationLevel: 1 })), ['kept'])
  },

  admin_topics_and_partitions: bootstrap => withAdmin(bootstrap, async admin => {
    const topic = unique('admin')
    await admin.createTopics({ topics: [topic], partitions: 2, replicas: 1 })
    await assert.rejects(admin.createTopics({ topics: [topic], partitions: 2, replicas: 1 }),
      problem => Boolean(problem.findBy('apiId', 'TOPIC_ALREADY_EXISTS')))
    await admin.createPartitions({ topics: [{ name: topic, count: 4, assignments: null }] })
    const metadata = await until(async () => {
      const found = await admin.metadata({ topics: [topic], forceUpdate: true })
      return found.topics.get(topic).partitionsCount === 4 && found
    }, 'the topic has four partitions')
    assert.equal(metadata.brokers.size, 1)
    assert.ok((await admin.listTopics()).includes(topic))
    await admin.deleteTopics({ topics: [topic] })
    await until(async () => !(await admin.listTopics()).includes(topic), 'the topic is gone')
  }),

  admin_configs: bootstrap => withAdmin(bootstrap, async admin => {
    const topic = await create(bootstrap, 1, { 'retention.ms': 12345 })
    const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: topic }
    const value = async () => {
      const [one] = await admin.describeConfigs({ resources: [{ ...resource, configurationKeys: ['retention.ms'] }] })
      return one.configs[0].value
    }
    assert.equal(await value(), '12345')
    await admin.incrementalAlterConfigs({ resources: [{
      ...resource, configs: [{ name: 'retention.ms', configOperation: IncrementalAlterConfigOperationTypes.SET, value: '777' }]
    }] })
    await until(async () => await value() === '777', 'the config has changed')
  }),

  async admin_groups_and_offsets(bootstrap) {
    const topic = await create(bootstrap)
    const group = unique('group')
    await produce(bootstrap, topic, ['a', 'b', 'c'])
    const one = await member(bootstrap, [topic], group)
    await until(() => one.found.length === 3, 'three are read')
    await one.consumer.commit({ offsets: [{ topic, partition: 0, offset: 3n, leaderEpoch: 0 }] })
    await withAdmin(bootstrap, async admin => {
      assert.equal((await admin.listGroups()).get(group).groupType, 'classic')
      const described = (await admin.describeGroups({ groups: [group] })).get(group)
      assert.deepEqual([described.state.toUpperCase(), described.members.size], ['STABLE', 1])
      await one.close()
      const committed = async () => {
        const [found] = await admin.listConsumerGroupOffsets({ groups: [group] })
        return found.topics[0]?.partitions[0].committedOffset
      }
      assert.equal(await committed(), 3n)
      await admin.alterConsumerGroupOffsets({
        groupId: group, topics: [{ name: topic, partitionOffsets: [{ partition: 0, offset: 1n }] }]
      })
      assert.equal(await committed(), 1n)
      await admin.deleteConsumerGroupOffsets({ groupId: group, topics: [{ name: topic, partitionIndexes: [0] }] })
      assert.equal(await committed(), undefined)
      await admin.deleteGroups({ groups: [group] })
    })
  },

  async admin_delete_records(bootstrap) {
    const topic = await create(bootstrap)
    await produce(bootstrap, topic, ['0', '1', '2', '3', '4'])
    await withAdmin(bootstrap, async admin => {
      const [{ partitions: [one] }] = await admin.deleteRecords({
        topics: [{ name: topic, partitions: [{ partition: 0, offset: 3n }] }]
      })
      assert.equal(one.lowWatermark, 3n)
    })
    assert.deepEqual(texts(await read(bootstrap, topic, 2)), ['3', '4'])
  },

  admin_log_dirs: bootstrap => withAdmin(bootstrap, async admin => {
    const topic = await create(bootstrap, 2)
    const [broker] = await admin.describeLogDirs({ topics: [{ name: topic, partitions: [0, 1] }] })
    const partitions = broker.results.flatMap(dir => dir.topics).filter(one => one.name === topic)
      .flatMap(one => one.partitions)
    assert.equal(partitions.length, 2)
  }),

  admin_acls_without_an_authorizer: bootstrap => withAdmin(bootstrap, async admin => {
    await assert.rejects(
      admin.describeAcls({ filter: { resourceType: 2, resourcePatternType: 3, operation: 1, permissionType: 1 } }),
      problem => Boolean(problem.findBy('apiId', 'SECURITY_DISABLED')))
  })
})
