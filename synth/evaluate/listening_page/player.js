// Plays every stimulus of a trial in step and lets one of them be heard. Switching changes gains, never positions.
const CROSS_FADE_S = 0.012; // between stimuli
const EDGE_S = 0.008; // fade in and out at both ends of a pass, so that a loop does not click
const AHEAD_S = 1.2; // passes are scheduled this far ahead: a hidden tab's timer fires once a second
const SHORTEST_LOOP_S = 0.2;

class Player {
  // buffers: Map of stimulus id -> AudioBuffer
  constructor(context, buffers) {
    this.context = context;
    this.buffers = buffers;
    this.duration = Math.min(...[...buffers.values()].map((buffer) => buffer.duration));
    this.loop = [0, this.duration];
    this.heard = null;
    this.passes = [];
    this.paused = 0; // where it stands while it is not playing, seconds
    this.playing = false;
    this.timer = null;
  }

  select(id) {
    this.heard = id;
    const now = this.context.currentTime;
    for (const pass of this.passes) {
      for (const [other, gain] of pass.gains) {
        gain.gain.setTargetAtTime(other === id ? 1 : 0, now, CROSS_FADE_S / 4);
      }
    }
  }

  setLoop(start, end) {
    const from = Math.max(0, Math.min(start, this.duration - SHORTEST_LOOP_S));
    const to = Math.min(this.duration, Math.max(end, from + SHORTEST_LOOP_S));
    const at = this.position();
    this.loop = [from, to];
    const inside = at >= from && at < to ? at : from;
    if (this.playing) {
      this.#silence();
      this.#pass(this.context.currentTime + 2 * EDGE_S, inside);
    } else {
      this.paused = inside;
    }
  }

  async play() {
    if (this.playing) return;
    await this.context.resume();
    this.playing = true;
    this.#pass(this.context.currentTime + 0.03, this.paused);
    this.timer = setInterval(() => this.#schedule(), 100);
    this.#schedule();
  }

  pause() {
    if (!this.playing) return;
    this.paused = this.position();
    this.playing = false;
    clearInterval(this.timer);
    this.#silence();
  }

  position() {
    if (!this.playing) return this.paused;
    const now = this.context.currentTime;
    const pass = this.passes.find((one) => now < one.end);
    return pass ? pass.offset + Math.max(0, now - pass.at) : this.loop[0];
  }

  #schedule() {
    const now = this.context.currentTime;
    this.passes = this.passes.filter((pass) => pass.end > now - 0.1);
    let last = this.passes[this.passes.length - 1];
    while (!last || last.end - now < AHEAD_S) {
      last = this.#pass(last ? Math.max(last.end, now) : now + 0.03, this.loop[0]);
    }
  }

  #pass(at, offset) {
    const length = this.loop[1] - offset;
    const edge = this.context.createGain();
    edge.connect(this.context.destination);
    edge.gain.setValueAtTime(0, at);
    edge.gain.linearRampToValueAtTime(1, at + EDGE_S);
    edge.gain.setValueAtTime(1, Math.max(at + EDGE_S, at + length - EDGE_S));
    edge.gain.linearRampToValueAtTime(0, at + length);
    const pass = { at, offset, end: at + length, edge, gains: new Map(), sources: [] };
    for (const [id, buffer] of this.buffers) {
      const gain = this.context.createGain();
      gain.gain.value = id === this.heard ? 1 : 0;
      gain.connect(edge);
      const source = this.context.createBufferSource();
      source.buffer = buffer;
      source.connect(gain);
      source.start(at, offset, length);
      pass.gains.set(id, gain);
      pass.sources.push(source);
    }
    this.passes.push(pass);
    return pass;
  }

  #silence() {
    const now = this.context.currentTime;
    for (const pass of this.passes) {
      const fade = this.context.createGain();
      pass.edge.disconnect();
      pass.edge.connect(fade);
      fade.connect(this.context.destination);
      fade.gain.setValueAtTime(1, now);
      fade.gain.linearRampToValueAtTime(0, now + EDGE_S);
      for (const source of pass.sources) source.stop(now + 2 * EDGE_S);
    }
    this.passes = [];
  }
}
