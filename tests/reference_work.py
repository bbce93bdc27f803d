"""Work on many desktops, obviously: exact fractions, every share found by filling up, one event after the other."""

from fractions import Fraction


def shares(capacity, most):
    """Fair shares of a capacity: all get the same, but none more than its most; what is left goes to the others."""
    got, left, open_ = [Fraction(0)] * len(most), capacity, set(range(len(most)))
    while open_:
        share = left / len(open_)
        small = {i for i in open_ if most[i] <= share}
        if not small:
            for i in open_:
                got[i] = share
            break
        for i in small:
            got[i] = most[i]
            left -= most[i]
        open_ -= small
    return got


def work(jobs, at_a_time, capacity):
    """Jobs: (ready, lane, ios, shortest, then_ios, then_shortest). Returns (start, end, then) of each, and the peak."""
    waiting = sorted(range(len(jobs)), key=lambda j: (jobs[j][0], j))
    active = {}  # job -> [step, I/Os left or time left]
    result = [[None, None, None] for _ in jobs]
    now, peak = Fraction(0), Fraction(0)

    def let_in():
        for j in list(waiting):
            busy = sum(1 for k, (step, _) in active.items() if step == 0 and jobs[k][1] == jobs[j][1])
            if jobs[j][0] <= now and (at_a_time is None or busy < at_a_time):
                waiting.remove(j)
                result[j][0] = now
                active[j] = [0, Fraction(1)]

    while waiting or active:
        let_in()
        ids = sorted(active)
        most = [Fraction(jobs[j][2 + 2 * active[j][0]]) / Fraction(jobs[j][3 + 2 * active[j][0]]) for j in ids]
        rate = shares(capacity, most) if capacity is not None else most
        peak = max(peak, sum(rate, Fraction(0)))
        speed = {}
        for j, r in zip(ids, rate, strict=True):
            ios, shortest = jobs[j][2 + 2 * active[j][0]], jobs[j][3 + 2 * active[j][0]]
            speed[j] = r / ios if ios else 1 / Fraction(shortest)
        steps = [active[j][1] / speed[j] for j in ids]
        steps += [Fraction(jobs[j][0]) - now for j in waiting if jobs[j][0] > now]
        step = min(steps)
        now += step
        for j in ids:
            active[j][1] -= step * speed[j]
            if active[j][1] == 0:
                if active[j][0] == 0:
                    result[j][1] = result[j][2] = now
                    if jobs[j][5]:
                        active[j] = [1, Fraction(1)]
                        continue
                result[j][2] = now
                del active[j]
    return result, peak
