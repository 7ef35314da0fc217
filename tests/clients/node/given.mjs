// What the tests hand over on standard input, as JSON; and the answer, as JSON on standard output.
import { readFileSync } from 'node:fs'

export const given = JSON.parse(readFileSync(0, 'utf8'))
export const answer = (value) => process.stdout.write(JSON.stringify(value))
