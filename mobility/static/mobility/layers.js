/* The live map of the page of map layers. One layer is shown at a time, straight from its TileJSON.
   `data-map-ready` on the body names the layer whose tiles have all been drawn. */

import { createMap, letAsk, repaint, styleLayers } from "./feature_map.js";

let maplibre;
const LIVE_EVERY_MS = 5000;
const SOURCE = "shown";
const WORLD = [-180, -85.06, 180, 85.06];

const element = document.getElementById("layers-map");
const told = document.getElementById("layers-told");
const live = document.getElementById("layers-live");
const articles = new Map(Array.from(document.querySelectorAll("[data-layer]"), (a) => [a.dataset.layer, a]));
const dark = matchMedia("(prefers-color-scheme: dark)");

let closePopups = () => {};
let shown = null; /* {name, tilejson, layers}: what is on the map */
let wish = 0; /* counts choices: an answer to an older one comes too late */

function tell(text, bad) {
  told.textContent = text;
  told.toggleAttribute("data-bad", Boolean(bad));
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
  const layers = tilejson.vector_layers.flatMap((layer) => styleLayers(SOURCE, layer.id));
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
  closePopups();
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

/* Times are numbers in a tile; a person reads them as in the API. */
function toldAs(feature, field, value) {
  const layer = shown.tilejson.vector_layers.find((one) => one.id === feature.sourceLayer);
  return (layer.times || []).includes(field) ? new Date(value * 1000).toISOString().replace(".000Z", "Z") : value;
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
  const map = createMap(maplibre, element, [Number(element.dataset.longitude), Number(element.dataset.latitude)]);
  map.on("error", (event) => tell("Some of the map cannot be shown: " + event.error.message + ".", true));
  map.on("idle", () => { if (shown) { document.body.dataset.mapReady = shown.name; } });
  const layersShown = () => (shown ? shown.layers : []);
  closePopups = letAsk(maplibre, map, element, layersShown, (feature) => feature.sourceLayer, toldAs);
  dark.addEventListener("change", () => repaint(map, shown ? shown.layers : []));
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
