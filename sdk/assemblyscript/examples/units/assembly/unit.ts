/** A unit: what it measures, and how it is reached from the quantity's first one. */
export class Unit {
  constructor(
    readonly symbol: string,
    readonly quantity: string,
    readonly factor: f64,
    readonly offset: f64 = 0,
  ) {}
}

export const UNITS: Array<Unit> = [
  new Unit("°C", "temperature", 1),
  new Unit("°F", "temperature", 5.0 / 9.0, -32.0 * 5.0 / 9.0),
  new Unit("K", "temperature", 1, -273.15),
  new Unit("m", "length", 1),
  new Unit("mm", "length", 0.001),
  new Unit("km", "length", 1000),
  new Unit("in", "length", 0.0254),
  new Unit("mi", "length", 1609.344),
  new Unit("km/h", "speed", 1),
  new Unit("mph", "speed", 1.609344),
  new Unit("m/s", "speed", 3.6),
  new Unit("kg", "mass", 1),
  new Unit("lb", "mass", 0.45359237),
];

export function unitOf(symbol: string): Unit | null {
  for (let i = 0; i < UNITS.length; i++) if (UNITS[i].symbol == symbol) return UNITS[i];
  return null;
}

/** The value in another unit of the same quantity, to four decimals. */
export function convert(value: f64, from: Unit, to: Unit): f64 {
  return round((value * from.factor + from.offset - to.offset) / to.factor, 10000);
}

/** Rounds to 1/parts. */
export function round(v: f64, parts: f64): f64 {
  return Math.round(v * parts) / parts + 0;
}
