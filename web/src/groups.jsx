// Consumer groups, and what each has still to read.

import { ask, part } from './api.js';
import { DASH, number } from './format.js';
import { Facts, Waiting } from './parts.jsx';
import { useLive } from './store.js';
import { Table } from './table.jsx';

const HINT = 'Records that exist in between, not offsets';

export function Groups() {
  const groups = useLive(() => ask('/v1/groups'), { key: 'groups', every: 3000 });
  return (
    <>
      <h1>Groups</h1>
      {!groups.data ? <Waiting error={groups.error} /> : (
        <Table caption="Groups" rows={groups.data.groups} keyOf={(group) => group.group}
          empty="No consumer has joined a group or committed an offset yet." columns={[
            { name: 'Group', class: 'name', value: (group) => group.group, show: (group) => <a href={`#group/${part(group.group)}`}>{group.group}</a> },
            { name: 'State', value: (group) => group.state },
            { name: 'Type', value: (group) => group.type },
            { name: 'Members', number: true, value: (group) => group.members, show: (group) => number(group.members) },
            { name: 'Lag', number: true, hint: 'Offsets', value: (group) => group.lag, show: (group) => number(group.lag) },
            { name: 'True lag', number: true, hint: HINT, value: (group) => group.true_lag, show: (group) => number(group.true_lag) },
          ]} />
      )}
    </>
  );
}

export function Group({ name }) {
  const { data: group, error } = useLive(() => ask(`/v1/groups/${part(name)}`), { key: name, every: 2000 });
  if (!group) return <><p class="crumbs"><a href="#groups">Groups</a></p><h1>{name}</h1><Waiting error={error} /></>;
  return (
    <>
      <p class="crumbs"><a href="#groups">Groups</a></p>
      <h1>{name}</h1>
      <Facts facts={[
        ['State', group.state],
        ['Type', group.type],
        group.assignor && ['Assignor', group.assignor],
        ['Members', number(group.members.length)],
        ['Lag', number(group.lag), 'offsets'],
        ['True lag', number(group.true_lag), 'records that exist'],
      ]} />
      <section aria-labelledby="offsets">
        <h2 id="offsets">Committed offsets</h2>
        <Table caption="Committed offsets" rows={group.offsets} keyOf={(it) => `${it.topic}/${it.partition}`} empty="None." columns={[
          { name: 'Topic', class: 'name', value: (it) => it.topic, show: (it) => <a href={`#topic/${part(it.topic)}`}>{it.topic}</a> },
          { name: 'Partition', number: true, value: (it) => it.partition,
            show: (it) => <a href={`#topic/${part(it.topic)}/${it.partition}`}>{it.partition}</a> },
          { name: 'Committed', number: true, value: (it) => it.committed_offset, show: (it) => number(it.committed_offset) },
          { name: 'End', number: true, value: (it) => it.end_offset, show: (it) => (it.end_offset == null ? 'gone' : number(it.end_offset)) },
          { name: 'Lag', number: true, hint: 'Offsets', value: (it) => it.lag, show: (it) => number(it.lag) },
          { name: 'True lag', number: true, hint: HINT, value: (it) => it.true_lag, show: (it) => number(it.true_lag) },
        ]} />
      </section>
      <section aria-labelledby="members">
        <h2 id="members">Members</h2>
        <Table caption="Members" rows={group.members} keyOf={(it) => it.member_id} empty="None: nobody is in this group now." columns={[
          { name: 'Client', class: 'name', value: (it) => it.client_id },
          { name: 'Host', value: (it) => it.client_host },
          { name: 'Instance', value: (it) => it.instance_id ?? DASH },
          { name: 'Partitions', class: 'cell', value: (it) => (it.assignment == null ? DASH
            : it.assignment.map(({ topic, partitions }) => `${topic} ${partitions.join(', ')}`).join('; ') || 'none') },
          { name: 'Member', class: 'cell', value: (it) => it.member_id },
        ]} />
      </section>
    </>
  );
}
