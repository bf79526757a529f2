"""A year of ticks of cron expressions in time zones, from the rules in docs/compatibility.md.

usage: cron_ticks.py YEAR ZONES EXPRESSIONS       (both as JSON lists)

Prints a JSON object: zone -> expression -> the ticks of the year in Unix seconds. It walks every
minute (or second) of the year, and so shares nothing with the router's way to find a tick.
"""

import calendar
import datetime
import json
import sys
import zoneinfo

UTC = datetime.timezone.utc
NAMES = {
    "months": {name.upper(): n for n, name in enumerate(calendar.month_abbr) if name},
    "days": {"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6},
}


def field(text, low, high, names=None):
    """The values of one field."""
    values = set()
    for part in text.upper().split(","):
        part, _, step = part.partition("/")
        step = int(step) if step else 1
        if part == "*":
            first, last = low, high
        else:
            begin, dash, end = part.partition("-")
            first, last = ((names or {}).get(x, x) for x in (begin, end or begin))
            first, last = int(first), int(last)
        values.update(range(first, last + 1, step))
    return values


class Expression:
    def __init__(self, text):
        fields = text.split()
        seconds = fields.pop(0) if len(fields) == 6 else "0"
        minute, hour, day, month, weekday = fields
        self.seconds = sorted(field(seconds, 0, 59))
        self.minutes = sorted(field(minute, 0, 59))
        self.hours = sorted(field(hour, 0, 23))
        self.days = field(day, 1, 31)
        self.months = field(month, 1, 12, NAMES["months"])
        self.weekdays = {n % 7 for n in field(weekday, 0, 7, NAMES["days"])}
        # A day matches by its number or by its weekday, if the expression restricts both.
        self.either = not day.startswith("*") and not weekday.startswith("*")
        self.hourly = len(self.hours) == 24

    def on(self, date):
        number = date.day in self.days
        weekday = (date.weekday() + 1) % 7 in self.weekdays
        day = (number or weekday) if self.either else (number and weekday)
        return date.month in self.months and day

    def walls(self, first, last):
        """The times of the wall clock, from one day to another."""
        date = first
        while date <= last:
            if self.on(date):
                for hour in self.hours:
                    for minute in self.minutes:
                        for second in self.seconds:
                            yield datetime.datetime.combine(
                                date, datetime.time(hour, minute, second)
                            )
            date += datetime.timedelta(days=1)


def shows(zone, instant, wall):
    return datetime.datetime.fromtimestamp(instant, zone).replace(tzinfo=None) == wall


def instants(zone, wall):
    """The moments at which the clock shows a time, by trying both offsets."""
    found = set()
    for fold in (0, 1):
        instant = int(wall.replace(tzinfo=zone, fold=fold).timestamp())
        if shows(zone, instant, wall):
            found.add(instant)
    return sorted(found)


def end_of_gap(zone, wall):
    """The first moment at which the clock shows a later time."""
    guess = int(wall.replace(tzinfo=UTC).timestamp())
    low, high = guess - 40 * 3600, guess + 40 * 3600
    while high - low > 1:
        middle = (low + high) // 2
        local = datetime.datetime.fromtimestamp(middle, zone).replace(tzinfo=None)
        low, high = (low, middle) if local > wall else (middle, high)
    return high


def ticks(expression, zone, year):
    first, last = datetime.date(year - 1, 12, 30), datetime.date(year + 1, 1, 2)
    found = set()
    for wall in expression.walls(first, last):
        moments = instants(zone, wall)
        if expression.hourly:
            found.update(moments)
        elif moments:
            found.add(moments[0])
        else:
            found.add(end_of_gap(zone, wall))
    begin = int(datetime.datetime(year, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime.datetime(year + 1, 1, 1, tzinfo=UTC).timestamp())
    return sorted(tick for tick in found if begin <= tick < end)


def main():
    year, zones, expressions = int(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
    answer = {
        zone: {
            text: ticks(Expression(text), zoneinfo.ZoneInfo(zone), year) for text in expressions
        }
        for zone in zones
    }
    json.dump(answer, sys.stdout)


main()
