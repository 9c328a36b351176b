/* The live map of the page of map layers. One layer is shown at a time, straight from its TileJSON, in a style of our
   own: no glyphs, no sprites, nothing from elsewhere. Text goes in as text, never as HTML.
   `data-map-ready` on the body names the layer whose tiles have all been drawn. */

let maplibre;
const LIVE_EVERY_MS = 5000;
const FEATURES_TOLD = 5;
const REACH_PX = 6, MIDDLE_REACH_PX = 20;
const SOURCE = "shown";
const WORLD = [-180, -85.06, 180, 85.06];

const element = document.getElementById("layers-map");
const told = document.getElementById("layers-told");
const live = document.getElementById("layers-live");
const articles = new Map(Array.from(document.querySelectorAll("[data-layer]"), (a) => [a.dataset.layer, a]));
const dark = matchMedia("(prefers-color-scheme: dark)");

let shown = null; /* {name, tilejson, layers}: what is on the map */
let wish = 0; /* counts choices: an answer to an older one comes too late */

function tell(text, bad) {
  told.textContent = text;
  told.toggleAttribute("data-bad", Boolean(bad));
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/* Each tile may hold points, lines and polygons; which, says only the tile itself. */
function styleLayers(sourceLayer) {
  const of = (kind, type, paint) => ({
    id: kind + " " + sourceLayer, type: type, source: SOURCE, "source-layer": sourceLayer, paint: paint,
    filter: ["==", ["geometry-type"], { fill: "Polygon", edge: "Polygon", line: "LineString", circle: "Point" }[kind]],
  });
  const mark = colour("--mark"), edge = colour("--mark-edge");
  return [
    of("fill", "fill", { "fill-color": mark, "fill-opacity": 0.2 }),
    of("edge", "line", { "line-color": mark, "line-width": 1.5 }),
    of("line", "line", { "line-color": mark, "line-width": 2.5, "line-opacity": 0.8 }),
    of("circle", "circle", {
      "circle-color": mark, "circle-stroke-color": edge, "circle-stroke-width": 1.5,
      "circle-radius": ["interpolate", ["linear"], ["zoom"], 4, 3, 12, 6, 18, 10],
    }),
  ];
}

function emptyStyle() {
  return {
    version: 8, sources: {},
    layers: [{ id: "ground", type: "background", paint: { "background-color": colour("--ground") } }],
  };
}

function repaint(map) {
  map.setPaintProperty("ground", "background-color", colour("--ground"));
  for (const layer of shown ? shown.layers : []) {
    for (const [name, value] of Object.entries(layer.paint)) {
      if (name.endsWith("-color")) {
        map.setPaintProperty(layer.id, name, colour(name.endsWith("stroke-color") ? "--mark-edge" : "--mark"));
      }
    }
  }
}

/* --- one layer for another ------------------------------------------------------------------------------------- */

/* The address as the map's worker needs it: whole. URL() would take the braces for something to be encoded. */
function tileAddress(address) {
  return address.startsWith("/") ? location.origin + address : address;
}

async function readTileJson(address) {
  const answer = await fetch(address, { credentials: "same-origin", headers: { Accept: "application/json" } });
  if (!answer.ok) { throw new Error("the server answered " + answer.status); }
  const tilejson = await answer.json();
  if (!Array.isArray(tilejson.tiles) || !Array.isArray(tilejson.vector_layers)) {
    throw new Error("this is no TileJSON");
  }
  return tilejson;
}

function take(map) {
  if (!shown) { return; }
  shown.layers.forEach((layer) => map.removeLayer(layer.id));
  map.removeSource(SOURCE);
  shown = null;
}

function put(map, name, tilejson) {
  map.addSource(SOURCE, {
    type: "vector", tiles: tilejson.tiles.map(tileAddress),
    minzoom: tilejson.minzoom || 0, maxzoom: tilejson.maxzoom || 22, bounds: tilejson.bounds || WORLD,
  });
  const layers = tilejson.vector_layers.flatMap((layer) => styleLayers(layer.id));
  layers.forEach((layer) => map.addLayer(layer));
  shown = { name: name, tilejson: tilejson, layers: layers };
}

function titleOf(name) {
  return articles.get(name).querySelector("h2").textContent;
}

async function show(map, name) {
  const mine = ++wish;
  delete document.body.dataset.mapReady;
  articles.forEach((article, other) => {
    article.querySelector(".layers-show").setAttribute("aria-pressed", String(other === name));
  });
  const title = titleOf(name);
  popups.forEach((popup) => popup.remove());
  take(map);
  tell("Loading: " + title + ".");
  try {
    const tilejson = await readTileJson(articles.get(name).dataset.tilejson);
    if (mine !== wish) { return; }
    put(map, name, tilejson);
    fit(map);
    tell("Shown: " + title + ".");
  } catch (error) {
    if (mine === wish) { tell(title + " cannot be shown: " + error.message + ".", true); }
  }
}

/* --- where to look --------------------------------------------------------------------------------------------- */

function isWorld(bounds) {
  return bounds[2] - bounds[0] >= 359 && bounds[3] - bounds[1] >= 160;
}

function boundsOfFeatures(map) {
  const bounds = new maplibre.LngLatBounds();
  const extend = (coordinates) => {
    if (typeof coordinates[0] === "number") { bounds.extend([coordinates[0], coordinates[1]]); return; }
    coordinates.forEach(extend);
  };
  for (const layer of shown.tilejson.vector_layers) {
    const features = map.querySourceFeatures(SOURCE, { sourceLayer: layer.id });
    features.forEach((feature) => extend(feature.geometry.coordinates));
  }
  return bounds;
}

function fit(map) {
  if (!shown) { return; }
  const stated = shown.tilejson.bounds;
  const bounds = Array.isArray(stated) && stated.length === 4 && !isWorld(stated) ? stated : boundsOfFeatures(map);
  if (Array.isArray(bounds) || !bounds.isEmpty()) {
    map.fitBounds(bounds, { padding: 40, maxZoom: 15, animate: false });
  }
}

/* --- what something is ----------------------------------------------------------------------------------------- */

const popups = new Set();

function text(tag, content) {
  const made = document.createElement(tag);
  made.textContent = content;
  return made;
}

function described(feature) {
  const section = document.createElement("section");
  const fields = document.createElement("dl");
  for (const [name, value] of Object.entries(feature.properties)) {
    fields.append(text("dt", name), text("dd", String(value)));
  }
  const id = feature.id === undefined ? "" : " " + feature.id;
  section.append(text("h3", feature.sourceLayer + id), fields);
  return section;
}

function openPopup(map, point, reach) {
  if (!shown) { return; }
  popups.forEach((popup) => popup.remove());
  const box = [[point.x - reach, point.y - reach], [point.x + reach, point.y + reach]];
  const found = new Map();
  for (const feature of map.queryRenderedFeatures(box, { layers: shown.layers.map((layer) => layer.id) })) {
    /* A polygon is drawn twice, and a feature on the edge of tiles is in several. */
    found.set(feature.sourceLayer + JSON.stringify([feature.id, feature.properties]), feature);
  }
  if (!found.size) { return; }
  const content = document.createElement("div");
  const features = Array.from(found.values());
  content.append(...features.slice(0, FEATURES_TOLD).map(described));
  const more = features.length - FEATURES_TOLD;
  if (more > 0) { content.append(text("p", "and " + more + " more")); }
  const popup = new maplibre.Popup({ maxWidth: "18rem" });
  popup.setLngLat(map.unproject(point)).setDOMContent(content).addTo(map);
  popups.add(popup);
  popup.on("close", () => { popups.delete(popup); });
}

function letAsk(map) {
  map.on("click", (event) => openPopup(map, event.point, REACH_PX));
  const canvas = map.getCanvas();
  canvas.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") { return; }
    event.preventDefault(); /* or the same key presses the button of the popup, which has the focus then */
    openPopup(map, map.project(map.getCenter()), MIDDLE_REACH_PX);
  });
  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && popups.size) {
      popups.forEach((popup) => popup.remove());
      canvas.focus();
    }
  });
}

/* --- beginning ------------------------------------------------------------------------------------------------- */

function refresh(map) {
  if (!live.checked || document.hidden || !shown) { return; }
  /* What is still wrong is told again. */
  if (told.hasAttribute("data-bad")) { tell("Shown: " + titleOf(shown.name) + "."); }
  map.refreshTiles(SOURCE);
}

function layerAsked() {
  const asked = location.hash.slice(1);
  return articles.has(asked) ? asked : articles.keys().next().value;
}

function begin() {
  const map = new maplibre.Map({
    container: element, style: emptyStyle(),
    center: [Number(element.dataset.longitude), Number(element.dataset.latitude)], zoom: 9,
    minZoom: 1, maxZoom: 19, attributionControl: false, dragRotate: false, pitchWithRotate: false,
    cooperativeGestures: matchMedia("(pointer: coarse)").matches, /* one finger scrolls the page, two move the map */
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new maplibre.ScaleControl({ unit: "metric" }), "bottom-left");
  map.on("error", (event) => tell("Some of the map cannot be shown: " + event.error.message + ".", true));
  map.on("idle", () => { if (shown) { document.body.dataset.mapReady = shown.name; } });
  letAsk(map);
  dark.addEventListener("change", () => repaint(map));
  document.getElementById("layers-fit").addEventListener("click", () => fit(map));
  setInterval(refresh, LIVE_EVERY_MS, map);
  map.once("load", () => {
    articles.forEach((article, name) => {
      article.querySelector(".layers-show").addEventListener("click", () => {
        history.replaceState(null, "", "#" + name);
        element.closest("section").scrollIntoView({ block: "nearest" }); /* on a phone the map is above the list */
        show(map, name);
      });
    });
    addEventListener("hashchange", () => show(map, layerAsked()));
    show(map, layerAsked());
  });
}

try {
  maplibre = await import("../vendor/maplibre/maplibre-gl.mjs");
  begin();
} catch (error) {
  tell("The map cannot be shown: " + error.message + ".", true);
}
