DROP VIEW gis.published, gis.service_areas, gis.demand_hours, gis.supply_hours, gis.area_days, gis.area_months, gis.flows,
    gis.matching_days;
