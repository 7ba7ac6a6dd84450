// What the JavaScript drivers share: scenarios by name, one per start: DRIVER --list, or DRIVER NAME BOOTSTRAP.
// A scenario that fails prints `FAILED: why` and ends with 1.

import { randomBytes } from 'node:crypto'
import assert from 'node:assert/strict'

export { assert }

/** A name that no other scenario or run has. */
export const unique = name => `${name}-${randomBytes(5).toString('hex')}`

export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Poll until the condition holds; its last value. */
export async function until(condition, what, seconds = 30) {
  const end = Date.now() + seconds * 1000
  for (;;) {
    const value = await condition()
    if (value) return value
    assert.ok(Date.now() < end, `waited ${seconds} s in vain until ${what}`)
    await sleep(50)
  }
}

export async function main(scenarios) {
  const [name, bootstrap] = process.argv.slice(2)
  if (name === '--list') {
    console.log(Object.keys(scenarios).join('\n'))
    return
  }
  const limit = setTimeout(() => fail(new Error('not done within 90 s')), 90_000)
  try {
    await scenarios[name](bootstrap)
  } catch (problem) {
    fail(problem)
  }
  clearTimeout(limit)
  process.exit(0)
}

function fail(problem) {
  console.log(problem)
  const inner = (problem?.errors ?? []).map(one => one.message).join('; ')
  console.log(`FAILED: ${`${problem?.name}: ${problem?.message} ${inner}`.replace(/\s+/g, ' ')}`)
  process.exit(1)
}
