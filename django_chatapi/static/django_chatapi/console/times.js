// Times arrive as UTC without a zone and are shown in the browser's zone, in the page's language.

const language = (() => {
    const wanted = document.documentElement.lang;
    try {
        return Intl.getCanonicalLocales(wanted)[0];
    } catch {
        return undefined; // The browser's own.
    }
})();

const hours = new Intl.DateTimeFormat(language, { timeStyle: "short" });
const days = new Intl.DateTimeFormat(language, { dateStyle: "long" });
const shortDays = new Intl.DateTimeFormat(language, { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "long" });
const units = Object.fromEntries(
    ["second", "minute", "hour", "day"].map((unit) => [
        unit,
        new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: unit === "day" ? "short" : "narrow" }),
    ]),
);

let ahead = 0;

/** Learns how far this computer's clock is off: waiting times are counted from the server's. */
export function learnClock(dateHeader) {
    const server = Date.parse(dateHeader ?? "");
    if (!Number.isNaN(server)) {
        const difference = server - Date.now();
        // The header has whole seconds, and the answer was on its way.
        ahead = Math.abs(difference) > 3000 ? difference : 0;
    }
}

export const serverNow = () => Date.now() + ahead;
export const parseTime = (wire) => new Date(`${wire}Z`);
export const hour = (wire) => hours.format(parseTime(wire));
export const fullTime = (wire) => full.format(parseTime(wire));
export const day = (wire) => days.format(parseTime(wire));
export const dayKey = (wire) => parseTime(wire).toDateString();

/** The hour of today's times, the day of others. */
export function briefTime(wire) {
    const moment = parseTime(wire);
    const today = moment.toDateString() === new Date().toDateString();
    return today ? hours.format(moment) : shortDays.format(moment);
}

/** How long something lasts: one unit is enough to decide who comes next, two from an hour on. */
export function howLong(wire) {
    const seconds = Math.max(0, Math.floor((serverNow() - parseTime(wire).getTime()) / 1000));
    if (seconds < 60) {
        return units.second.format(seconds);
    }
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) {
        return units.minute.format(minutes);
    }
    const hoursLong = Math.floor(minutes / 60);
    if (hoursLong < 24) {
        return `${units.hour.format(hoursLong)} ${units.minute.format(minutes % 60)}`;
    }
    return units.day.format(Math.floor(hoursLong / 24));
}
