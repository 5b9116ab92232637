"""The sensor, its alerts and the devices as Home Assistant knows them, by MQTT discovery."""
