-- What was known of airports and routes at every moment of the first half of 2001, from the flights
-- themselves. `flights` and `airports` are views of the files of that name in vega-datasets, which
-- whoever runs this has made first; each table below but the first two becomes one Parquet file for
-- `plinth features ingest`.

-- The data set has the time on the clock at the gate. What was known in Los Angeles at nine in the
-- morning was not yet known to a flight that left New York at nine: clocks must be made one clock
-- before they are compared, or the three hours between them leak into every flight to the west. So
-- all times below are in UTC.
CREATE TABLE zones AS
SELECT
  iata AS airport,
  CASE
    WHEN iata IN ('BNA', 'EVV', 'MEM', 'PNS', 'VPS') THEN 'America/Chicago'
    WHEN iata IN ('ELP', 'RAP') THEN 'America/Denver'
    WHEN state IN ('AL', 'AR', 'IA', 'IL', 'KS', 'LA', 'MN', 'MO', 'MS', 'ND', 'NE', 'OK', 'SD',
      'TX', 'WI') THEN 'America/Chicago'
    WHEN state IN ('CO', 'ID', 'MT', 'NM', 'UT', 'WY') THEN 'America/Denver'
    WHEN state IN ('CA', 'NV', 'OR', 'WA') THEN 'America/Los_Angeles'
    WHEN state = 'AK' THEN 'America/Anchorage'
    WHEN state = 'AZ' THEN 'America/Phoenix'
    WHEN state = 'HI' THEN 'Pacific/Honolulu'
    WHEN state = 'IN' THEN 'America/Indiana/Indianapolis'
    WHEN state IN ('PR', 'VI') THEN 'America/Puerto_Rico'
    ELSE 'America/New_York'
  END AS zone
FROM airports;

-- The data set has no arrival time. A flight's delay is taken to be known when it has landed: 40
-- minutes on the ground and 7 miles a minute after it left, and its delay, if it has one. Most take
-- less. Nothing below looks at a flight before that, and `created_timestamp` says when a row itself
-- was there.
CREATE TABLE landed AS
SELECT
  origin,
  destination,
  distance,
  delay,
  least(greatest(delay, -120), 600)::DOUBLE AS counted_delay,
  date AS departure,
  (date AT TIME ZONE zone) AT TIME ZONE 'UTC' AS departed_at,
  departed_at + to_minutes((40 + distance / 7 + greatest(delay, 0))::BIGINT) AS known_at
FROM flights
JOIN zones ON airport = origin;

-- One row an airport and hour, there ten minutes later: the flights from the airport whose delay
-- became known in the last 3 and 24 hours. An airport without any in 24 hours has no row. The data
-- end with June in New York, at four.
CREATE TABLE airport_delays AS
WITH hours AS (
  SELECT
    origin AS airport,
    date_trunc('hour', known_at) + INTERVAL 1 HOUR AS hour,
    sum(counted_delay) AS delay,
    count(*) AS flights,
    count(*) FILTER (delay >= 15) AS late
  FROM landed
  GROUP BY ALL
),
wanted AS (
  SELECT DISTINCT airport, hour + to_hours(later) AS hour
  FROM hours, (SELECT unnest(range(24)) AS later)
  WHERE hour + to_hours(later) <= TIMESTAMP '2001-07-01 04:00'
)
SELECT
  airport,
  w.hour AS event_timestamp,
  w.hour + INTERVAL 10 MINUTE AS created_timestamp,
  round(sum(delay) FILTER (h.hour > w.hour - INTERVAL 3 HOUR)
    / sum(flights) FILTER (h.hour > w.hour - INTERVAL 3 HOUR), 3) AS mean_delay_3h,
  round(sum(delay) / sum(flights), 3) AS mean_delay_24h,
  round(sum(late) / sum(flights), 4) AS late_share_24h,
  sum(flights)::BIGINT AS flights_24h
FROM wanted AS w
JOIN hours AS h USING (airport)
WHERE h.hour <= w.hour AND h.hour > w.hour - INTERVAL 24 HOUR
GROUP BY airport, w.hour
ORDER BY airport, event_timestamp;

-- One row a route and day, there four hours later, at midnight in New York: the flights of the 28
-- days before it.
CREATE TABLE route_delays AS
WITH days AS (
  SELECT
    origin,
    destination,
    date_trunc('day', known_at) + INTERVAL 1 DAY AS day,
    max(distance) AS distance,
    sum(counted_delay) AS delay,
    count(*) AS flights,
    count(*) FILTER (delay >= 15) AS late
  FROM landed
  GROUP BY ALL
),
wanted AS (
  SELECT DISTINCT origin, destination, day + to_days(later) AS day
  FROM days, (SELECT unnest(range(28)) AS later)
  WHERE day + to_days(later) <= TIMESTAMP '2001-07-01'
)
SELECT
  origin,
  destination,
  w.day AS event_timestamp,
  w.day + INTERVAL 4 HOUR AS created_timestamp,
  max(d.distance)::BIGINT AS distance,
  round(sum(delay) / sum(flights), 3) AS mean_delay_28d,
  round(sum(late) / sum(flights), 4) AS late_share_28d,
  sum(flights)::BIGINT AS flights_28d
FROM wanted AS w
JOIN days AS d USING (origin, destination)
WHERE d.day <= w.day AND d.day > w.day - INTERVAL 28 DAY
GROUP BY origin, destination, w.day
ORDER BY origin, destination, event_timestamp;
